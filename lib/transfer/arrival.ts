import { randomUUID } from 'node:crypto'
import { closeSync, constants, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { confinedPath } from '../blob/confine.ts'
import { failureOf } from '../blob/disk-failure.ts'
import { type Hasher, hasherFor } from '../blob/hasher.ts'
import { RESERVED_PREFIX } from '../blob/key.ts'
import type { ErrorCode } from '../errors.ts'
import type { ReceivedBlob, ReceiveOutcome, WantedBlob } from './blob-order.ts'

const OPEN_ATTEMPTS = 5

/**
 * A blob on its way into the store: written beside its place under a temporary name, hashed as it is written. Whatever goes
 * wrong with the disk ends as a failed outcome of this one blob.
 */
export class Arrival {
  readonly #root: string
  readonly #blob: WantedBlob
  readonly #folders = new Set<string>()
  #path: string | null = null
  #file: number | null = null
  #hasher: Hasher | null = null
  #failure: { code: ErrorCode; message: string } | null = null
  bytes = 0

  constructor(root: string, blob: WantedBlob) {
    this.#root = root
    this.#blob = blob
  }

  async begin(): Promise<void> {
    this.#hasher = this.#blob.expected && (await hasherFor(this.#blob.expected.algorithm))
    this.#try('Error creating temporary file', () => {
      const folder = dirname(confinedPath(this.#root, this.#blob.key))
      this.#path = join(folder, `${RESERVED_PREFIX}tmp-${randomUUID()}`)
      this.#file = this.#open(folder, this.#path)
    })
  }

  #open(folder: string, path: string): number {
    for (let attempt = 1; ; attempt += 1) {
      const firstMade = mkdirSync(folder, { recursive: true })
      this.#noteFolders(folder, firstMade)
      try {
        return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o666)
      } catch (reason) {
        // A removal next to it may have taken the folder away again, for it was empty.
        if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === OPEN_ATTEMPTS) throw reason
      }
    }
  }

  // The name of a new folder lies in its parent, which has to be synced as well.
  #noteFolders(folder: string, firstMade: string | undefined): void {
    this.#folders.add(folder)
    if (firstMade === undefined) return
    const top = dirname(firstMade)
    for (let above = folder; above.length > top.length; above = dirname(above)) this.#folders.add(dirname(above))
  }

  write(chunk: Uint8Array): void {
    this.#try('Error downloading file', () => {
      if (this.#file === null) return
      this.#hasher?.update(chunk)
      for (let written = 0; written < chunk.length; ) written += writeSync(this.#file, chunk, written)
    })
    this.bytes += chunk.length
  }

  /** Compares, syncs and closes: the blob is whole and waits for its name. */
  finish(durable: boolean): ReceiveOutcome {
    this.#try('Error downloading file', () => {
      const expected = this.#blob.expected
      if (expected && this.#hasher?.digestHex() !== expected.hex) {
        this.#failure = { code: 'CHECKSUM_MISMATCH', message: 'Downloaded file checksum mismatch' }
      } else if (this.#file !== null && durable) fsyncSync(this.#file)
    })
    if (this.#failure) return this.abandon(this.#failure.code, this.#failure.message)
    this.#close()
    const received: ReceivedBlob = {
      outcome: 'received',
      id: this.#blob.id,
      key: this.#blob.key,
      temporaryPath: this.#path ?? '',
      bytes: this.bytes,
      folders: [...this.#folders],
    }
    return received
  }

  /** Ends without a file. An earlier failure of the disk is the cause, not what followed from it. */
  abandon(code: ErrorCode, message: string): ReceiveOutcome {
    this.#close()
    this.#failure ??= { code, message }
    const failed: ReceiveOutcome = { outcome: 'failed', id: this.#blob.id, ...this.#failure }
    // Where even that fails, the disk is read-only or worse, and the first cause says so already.
    this.#failure = null
    this.#try('Error removing temporary file', () => {
      if (this.#path !== null) rmSync(this.#path, { force: true })
    })
    return failed
  }

  #close(): void {
    if (this.#file === null) return
    closeSync(this.#file)
    this.#file = null
  }

  #try(doing: string, act: () => void): void {
    if (this.#failure) return
    try {
      act()
    } catch (reason) {
      const { code, message } = failureOf(reason, this.#blob.key)
      this.#failure = { code: code === 'FILE_MISSING' ? 'STORAGE_ERROR' : code, message: `${doing}: ${message}` }
    }
  }
}
