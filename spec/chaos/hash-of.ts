import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

export interface Hashed {
  readonly bytes: number
  readonly sha256: string
}

/** Changes of a file within one tick of the kernel's clock may leave it the same times. */
const RESTED_MS = 2000
const PIECE_BYTES = 1024 * 1024
/** Memory of its own for each of a hundred thousand files is what the machine would be busy with. */
const spare: Buffer[] = []
const known = new Map<string, { readonly identity: string; readonly hashed: Hashed }>()

/**
 * Of the bytes that lie there now. A file is read again only where it is another one or has been changed since, which its change
 * time says whatever anybody does to the others: nothing but the clock of the kernel sets it, and no fault sets that.
 */
export async function hashOf(path: string): Promise<Hashed> {
  const before = known.get(path)
  // Not opened for that: of a hundred thousand files most of the time would go into it.
  if (before && before.identity === identityOf(await stat(path, { bigint: true })).text) return before.hashed
  const file = await open(path)
  try {
    const identity = identityOf(await file.stat({ bigint: true }))
    const hashed = await read(file)
    const after = identityOf(await file.stat({ bigint: true }))
    if (after.text === identity.text && Date.now() - after.changedAtMs > RESTED_MS)
      known.set(path, { identity: after.text, hashed })
    return hashed
  } finally {
    await file.close()
  }
}

function identityOf({ dev, ino, size, ctimeNs, ctimeMs }: BigIntStats): { text: string; changedAtMs: number } {
  return { text: `${dev}/${ino}/${size}/${ctimeNs}`, changedAtMs: Number(ctimeMs) }
}

async function read(file: FileHandle): Promise<Hashed> {
  const hash = createHash('sha256')
  const piece = spare.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES)
  try {
    let bytes = 0
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.length, bytes)
      if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') }
      bytes += bytesRead
      hash.update(piece.subarray(0, bytesRead))
    }
  } finally {
    spare.push(piece)
  }
}
