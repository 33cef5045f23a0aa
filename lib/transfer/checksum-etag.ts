import type { Digest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'

/** What the primary's retrieve route says beside its own ETag, which is that of its file. */
export const CHECKSUM_ETAG_HEADER = 'geo-checksum-etag'

/**
 * The ETag that the same bytes have on every site, so that a browser that moves between sites keeps its cache; null where
 * none can be given. A mutable blob has none: its file is written before its recorded checksum is voided.
 */
export function checksumEtag({ immutable }: Replicable, digest: Digest | null): string | null {
  return immutable && digest ? `"${digest.algorithm}-${digest.hex}"` : null
}
