import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Entry } from '../history.ts'
import { type Seeded, sha256Of } from '../seeded.ts'
import { OWN_PREFIX } from '../watcher.ts'

/** What the bytes of a file become; null: it is gone. */
const SPOILED = Object.freeze({
  flipped(bytes: Buffer, chance: Seeded) {
    const at = chance.below(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8))
    return bytes
  },
  truncated: (bytes: Buffer, chance: Seeded) => bytes.subarray(0, chance.below(bytes.length)),
  zeroed: (bytes: Buffer) => Buffer.alloc(bytes.length),
  removed: () => null,
}) satisfies Readonly<Record<string, (bytes: Buffer, chance: Seeded) => Buffer | null>>

export type Kind = keyof typeof SPOILED
export const KINDS = Object.keys(SPOILED) as Kind[]

/**
 * Has a file rot. Its times stay as they were: nobody is told. It is noted before a reader can see it, and then done in one step: what
 * lies there at any time is either what was stored or what is noted.
 */
export async function spoil(path: string, kind: Kind, chance: Seeded, note: (damage: Entry) => void): Promise<void> {
  const { atime, mtime } = await stat(path)
  const bytes = SPOILED[kind](await readFile(path), chance)
  note({ kind: 'damaged', path, sha256: bytes && sha256Of(bytes) })
  if (bytes === null) return rm(path)
  const draft = join(dirname(path), `${OWN_PREFIX}spoiled`)
  await writeFile(draft, bytes)
  await utimes(draft, atime, mtime)
  await rename(draft, path)
}
