import { createHash, hash } from 'node:crypto'
import xxhash, { type XXHashAPI } from 'xxhash-wasm'
import type { ChecksumAlgorithm } from './replicable.ts'

/** A running checksum. `update` copies what it needs: the buffer may be reused at once. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** The digest in lower-case hex; ends the hasher. */
  digestHex(): string
}

let loading: Promise<XXHashAPI> | null = null

/** A hasher of the given algorithm. For worker threads: hashing holds up whoever calls it. */
export async function hasherFor(algorithm: ChecksumAlgorithm): Promise<Hasher> {
  if (algorithm === 'sha256') {
    const sha256 = createHash('sha256')
    return { update: (bytes) => void sha256.update(bytes), digestHex: () => sha256.digest('hex') }
  }
  const xxh64 = (await loadXxhash()).create64()
  return { update: (bytes) => void xxh64.update(bytes), digestHex: () => xxh64Hex(xxh64.digest()) }
}

/** The digest, in lower-case hex, of bytes that are all there: a third of what a hasher costs for a few kilobytes. */
export async function digestHexOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Promise<string> {
  if (algorithm === 'sha256') return hash('sha256', bytes)
  return xxh64Hex((await loadXxhash()).h64Raw(bytes))
}

function loadXxhash(): Promise<XXHashAPI> {
  loading ??= xxhash()
  return loading
}

function xxh64Hex(digest: bigint): string {
  return digest.toString(16).padStart(16, '0')
}
