import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

const CHUNK = 1024 * 1024

/** Bytes that no disk or compressor can make less of, the same for the same seed. */
export function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  // A whole chunk of SHA-256 in counter mode would take longer than the writing; one block of it is enough to differ.
  const block = createHash('sha512').update(`bench ${seed}`).digest()
  let state = block.readUInt32LE(0) || 1
  for (let offset = 0; offset + 4 <= length; offset += 4) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes.writeInt32LE(state, offset)
  }
  block.copy(bytes, Math.max(0, length - block.length), 0, Math.min(block.length, length))
  return bytes
}

/** Writes a file of so many bytes; every file has bytes of its own. */
export function writeFile(path: string, bytes: number, seed: number): void {
  mkdirSync(dirname(path), { recursive: true })
  const file = openSync(path, 'wx')
  try {
    let chunk = bytesOf(seed, Math.min(CHUNK, bytes))
    for (let written = 0; written < bytes; written += chunk.length) {
      if (written > 0) chunk.writeUInt32LE(written / CHUNK, 0)
      chunk = chunk.subarray(0, Math.min(chunk.length, bytes - written))
      writeSync(file, chunk)
    }
  } finally {
    closeSync(file)
  }
}

/** Reads them once, so that everybody finds them in the page cache. */
export function warm(root: string, keys: readonly string[]): void {
  const chunk = Buffer.allocUnsafe(CHUNK)
  for (const key of keys) {
    const file = openSync(join(root, key), 'r')
    try {
      while (readSync(file, chunk) > 0);
    } finally {
      closeSync(file)
    }
  }
}
