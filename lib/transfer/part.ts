import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, lstatSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { RESERVED_PREFIX } from '../blob/key.ts'
import { UNFOLLOWED } from '../blob/unfollowed.ts'
import { GeoError } from '../errors.ts'
import type { WantedBlob } from './blob-order.ts'
import { removeQuietly } from './place.ts'
import { readSmall } from './read-small.ts'

/**
 * A part file holds the first bytes of a blob whose transfer was cut, beside the place of the blob, until any process of the
 * site goes on with it. Its name is made of the record, the key and the ETag, so a part is never continued with another
 * version; a note beside it, named by record and key alone, says which ETag that is.
 *
 * Two processes may have the same part open: one that was stopped and whose lease has ended, and the one that goes on. That
 * is safe, because the same ETag means the same bytes, and each writes its bytes at the position that they have in the blob:
 * - A part is never truncated, and every writer has written all before its position, so there is no hole and no end but the
 *   furthest one.
 * - A process writes, and removes, only before the moment at which its lease can end (Line.live). So all it writes came
 *   before the other asked the primary, which said then that the ETag still holds: the bytes are of that version, also where
 *   the blob is mutable and is overwritten right after.
 * - Renamed into place, the part stays the same file: a late write of the same bytes changes nothing. Only the holder of the
 *   lease renames, and another version is another file.
 */
export const PART_PREFIX = `${RESERVED_PREFIX}part-`
export const TEMPORARY_PREFIX = `${RESERVED_PREFIX}tmp-`

/** Whether a file of this name is one on its way into a store: a temporary one, a part or a part's note. */
export function isUnfinished(name: string): boolean {
  return name.startsWith(PART_PREFIX) || name.startsWith(TEMPORARY_PREFIX)
}

// Weak ones (`W/"…"`) promise no equal bytes.
const STRONG_ETAG = /^"[\x21\x23-\x7e]{1,256}"$/
const LONGEST_ETAG_BYTES = 258

const NO_NOTE: readonly string[] = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'NOT_A_FILE']

export function isStrongEtag(etag: unknown): etag is string {
  return typeof etag === 'string' && STRONG_ETAG.test(etag)
}

/** The part files of one blob in the folder of its place. */
export class PartFiles {
  readonly notePath: string
  readonly #stem: string

  constructor(folder: string, replicableName: string, { id, key }: Pick<WantedBlob, 'id' | 'key'>) {
    this.#stem = join(folder, `${PART_PREFIX}${digest([replicableName, id, key].join('\n'), 32)}`)
    this.notePath = `${this.#stem}.etag`
  }

  pathOf(etag: string): string {
    return `${this.#stem}-${digest(etag, 16)}`
  }

  /** The ETag of the part that is there with at least one byte, or null. */
  find(): string | null {
    const etag = this.#noted()
    if (etag === null) return null
    const stat = lstatSync(this.pathOf(etag), { throwIfNoEntry: false })
    return stat?.isFile() && stat.size > 0 ? etag : null
  }

  /** Notes the version that is fetched from now on; the part of an earlier one goes. */
  note(etag: string): void {
    const before = this.#noted()
    if (before === etag) return
    this.#write(etag)
    if (before !== null) removeQuietly(this.pathOf(before))
  }

  #noted(): string | null {
    try {
      const etag = readSmall(this.notePath, LONGEST_ETAG_BYTES).body?.toString()
      return isStrongEtag(etag) ? etag : null
    } catch (reason) {
      // Where a file lies in place of the folder, who makes the folder says so; where something else lies, who writes the note.
      if (NO_NOTE.includes((reason as NodeJS.ErrnoException).code ?? '')) return null
      throw reason
    }
  }

  #write(etag: string): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | UNFOLLOWED
    const file = openSync(this.notePath, flags, 0o666)
    try {
      if (!fstatSync(file).isFile()) throw new GeoError('NOT_A_FILE', `${this.notePath} is not a regular file`)
      writeSync(file, etag)
    } finally {
      closeSync(file)
    }
  }
}

function digest(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length)
}
