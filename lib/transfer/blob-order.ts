import type { Digest } from '../blob/digest.ts'
import type { ChecksumAlgorithm } from '../blob/replicable.ts'
import type { ErrorCode } from '../errors.ts'
import type { LineEnds } from './line.ts'
import type { Refusal } from './refusal.ts'

/** A blob that is wanted, where it is to go, and what it must hash to where that is known. */
export interface WantedBlob {
  readonly id: string
  readonly key: string
  readonly expected: Digest | null
  /** The trace that it belongs to, if it does. */
  readonly traceparent?: string
}

/** A blob that has arrived under a temporary name beside its place, hashed and synced to disk. */
export interface ReceivedBlob {
  readonly outcome: 'received'
  readonly id: string
  readonly key: string
  readonly temporaryPath: string
  /** Set where the file is a part: it stays for whoever goes on with it, unless it is placed; then its note goes. */
  readonly notePath: string | null
  readonly bytes: number
  /** What the bytes hash to, where that was known beforehand. */
  readonly expected: Digest | null
  /** What was hashed as it was stored, and of which version of the file (file-version.ts); null where that is still to be done. */
  readonly stored: { readonly digest: Digest; readonly version: string } | null
  /** Folders whose entries changed; to be synced when the file has got its name. */
  readonly folders: readonly string[]
}

export type ReceiveOutcome =
  | ReceivedBlob
  | { readonly outcome: 'large' | 'later'; readonly id: string; readonly bytes: number }
  | { readonly outcome: 'failed'; readonly id: string; readonly code: ErrorCode; readonly message: string }

/** What a transfer thread is to fetch, and over which line it asks the main thread. */
export interface ReceiveTask {
  readonly url: string
  /** For the first request; later ones ask for another over the line. */
  readonly authorization: string
  readonly replicableName: string
  /** Where it may send this site beside its own host, as in geo_nodes. Default: nowhere. */
  readonly redirectHosts?: readonly string[]
  /** The span of the transfer, told to the primary; null without one. */
  readonly traceparent?: string | null
  readonly idleTimeoutMs: number
  readonly root: string
  readonly durable: boolean
  /** Whoever answers is not trusted with the disk: a reserve of the volume stays free. One blob only. */
  readonly keepsReserve?: boolean
  /** What a blob is hashed with of which no checksum is known. */
  readonly algorithm: ChecksumAlgorithm
  readonly blobs: readonly WantedBlob[]
  readonly line: LineEnds
}

export interface ReceiveResult {
  readonly outcomes: readonly ReceiveOutcome[]
  /** Why the request as a whole got no further; nothing is said of blobs that are not among the outcomes. */
  readonly refusal: Refusal | null
  /** Bytes of bandwidth that were granted and not used. */
  readonly unspent: number
}
