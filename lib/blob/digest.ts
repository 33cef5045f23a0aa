import type { ChecksumAlgorithm } from './replicable.ts'

/** A checksum of a blob. In the database its first byte names the algorithm; every API shows the hex digits alone. */
export interface Digest {
  readonly algorithm: ChecksumAlgorithm
  /** Lower case. */
  readonly hex: string
}

const ALGORITHM_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = Object.freeze({ xxh64: 1, sha256: 2 })

/** The bytes with which a stored checksum that this version can read begins. */
export const KNOWN_ALGORITHM_BYTES: readonly number[] = Object.freeze(Object.values(ALGORITHM_BYTES))

export function encodeDigest({ algorithm, hex }: Digest): Buffer {
  return Buffer.concat([Buffer.of(ALGORITHM_BYTES[algorithm]), Buffer.from(hex, 'hex')])
}

/** Null where nothing is stored, or where a newer version stored an algorithm that this one does not know. */
export function decodeDigest(stored: Uint8Array | null): Digest | null {
  if (!stored) return null
  for (const [algorithm, byte] of Object.entries(ALGORITHM_BYTES)) {
    if (stored[0] === byte) {
      return { algorithm: algorithm as ChecksumAlgorithm, hex: Buffer.from(stored.subarray(1)).toString('hex') }
    }
  }
  return null
}

/** Equal, different, or not comparable because the algorithms differ: which means "hash again", never "corrupt". */
export function compareDigests(left: Digest, right: Digest): 'equal' | 'different' | 'incomparable' {
  if (left.algorithm !== right.algorithm) return 'incomparable'
  return left.hex === right.hex ? 'equal' : 'different'
}
