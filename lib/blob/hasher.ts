import { createHash, hash } from 'node:crypto'
import xxhash, { type XXHashAPI } from 'xxhash-wasm'
import type { ChecksumAlgorithm } from './replicable.ts'

/** A running checksum. `update` copies what it needs: the buffer may be reused at once. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** The digest in lower-case hex; ends the hasher. */
  digestHex(): string
}

/** Hashing as it is once its code is loaded: without waiting, so that a thread goes from file to file. It holds up whoever calls. */
export interface Hashing {
  hasherFor(algorithm: ChecksumAlgorithm): Hasher
  /** The digest, in lower-case hex, of bytes that are all there: a third of what a hasher costs for a few kilobytes. */
  digestHexOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): string
}

let loading: Promise<Hashing> | null = null

export function loadHashing(): Promise<Hashing> {
  loading ??= xxhash().then(hashingBy)
  return loading
}

/** A hasher of the given algorithm. For worker threads: hashing holds up whoever calls it. */
export async function hasherFor(algorithm: ChecksumAlgorithm): Promise<Hasher> {
  return (await loadHashing()).hasherFor(algorithm)
}

function hashingBy({ create64, h64Raw }: XXHashAPI): Hashing {
  return Object.freeze({
    hasherFor(algorithm: ChecksumAlgorithm): Hasher {
      if (algorithm === 'sha256') {
        const sha256 = createHash('sha256')
        return { update: (bytes) => void sha256.update(bytes), digestHex: () => sha256.digest('hex') }
      }
      const xxh64 = create64()
      return { update: (bytes) => void xxh64.update(bytes), digestHex: () => xxh64Hex(xxh64.digest()) }
    },
    digestHexOf: (algorithm: ChecksumAlgorithm, bytes: Uint8Array) =>
      algorithm === 'sha256' ? hash('sha256', bytes) : xxh64Hex(h64Raw(bytes)),
  })
}

function xxh64Hex(digest: bigint): string {
  return digest.toString(16).padStart(16, '0')
}
