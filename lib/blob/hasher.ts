import { createHash } from 'node:crypto'
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
    const hash = createHash('sha256')
    return { update: (bytes) => void hash.update(bytes), digestHex: () => hash.digest('hex') }
  }
  loading ??= xxhash()
  const hash = (await loading).create64()
  return { update: (bytes) => void hash.update(bytes), digestHex: () => hash.digest().toString(16).padStart(16, '0') }
}
