import { createCipheriv, createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Digest } from '../../lib/blob/digest.ts'
import { hasherFor } from '../../lib/blob/hasher.ts'

const CHUNK = Buffer.alloc(4 * 1024 * 1024)

/** Writes a file of bytes that look random and are the same for the same seed. Returns their checksum. */
export async function writeSeededFile(path: string, seed: number, bytes: number): Promise<Digest> {
  const key = createHash('sha256').update(String(seed)).digest()
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  const hasher = await hasherFor('xxh64')
  await mkdir(dirname(path), { recursive: true })
  const file = await open(path, 'w')
  try {
    for (let left = bytes; left > 0; left -= CHUNK.length) {
      const chunk = cipher.update(CHUNK.subarray(0, Math.min(left, CHUNK.length)))
      hasher.update(chunk)
      await file.write(chunk)
    }
  } finally {
    await file.close()
  }
  return { algorithm: 'xxh64', hex: hasher.digestHex() }
}

/** `count` numbers from `seed`, each in [0, below). */
export function seededNumbers(seed: number, count: number, below: number): number[] {
  return Array.from({ length: count }, (_, position) => {
    const digest = createHash('sha256').update(`${seed}/${position}`).digest()
    return Math.floor((digest.readUInt32BE(0) / 2 ** 32) * below)
  })
}
