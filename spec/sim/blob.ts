import { createHash } from 'node:crypto'
import xxhash from 'xxhash-wasm'
import type { ChecksumAlgorithm } from '../../lib/index.ts'
import { SMALL_BLOB_BYTES } from '../../lib/transfer/frame.ts'

/** Bytes with their checksums, which the model calculates by itself. Equal bytes are the same object. */
export interface Blob {
  readonly bytes: Buffer
  readonly hex: Readonly<Record<ChecksumAlgorithm, string>>
}

const { h64Raw } = await xxhash()
const known = new Map<string, Blob>()

export function blobOf(bytes: Buffer): Blob {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const found = known.get(sha256)
  if (found) return found
  const blob = { bytes, hex: { sha256, xxh64: h64Raw(bytes).toString(16).padStart(16, '0') } }
  known.set(sha256, blob)
  return blob
}

// One in so many contents is empty, one in so many too large to travel with others.
const EMPTY_ONE_IN = 12
const LARGE_ONE_IN = 40

/** What the host stores as content number so and so. */
export function contentOf(number: number): Blob {
  if (number % EMPTY_ONE_IN === 11) return blobOf(Buffer.alloc(0))
  if (number % LARGE_ONE_IN === 1) return blobOf(Buffer.alloc(SMALL_BLOB_BYTES + number, `large ${number} `))
  return blobOf(Buffer.from(`content ${number};`.repeat(1 + (number % 5))))
}

export type Spoiling = 'flip' | 'truncate' | 'remove' | 'replace'

/** What is left of a blob; null where nothing is. Never the same bytes. */
export function spoil(blob: Blob, how: Spoiling): Blob | null {
  const { bytes } = blob
  if (how === 'remove') return null
  if (how === 'replace' || bytes.length === 0) return blobOf(Buffer.concat([Buffer.from('of another row '), bytes]))
  if (how === 'truncate') return blobOf(bytes.subarray(0, bytes.length >> 1))
  const flipped = Buffer.from(bytes)
  flipped[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10
  return blobOf(flipped)
}
