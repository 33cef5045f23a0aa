import type { Digest } from '../blob/digest.ts'
import type { ErrorCode } from '../errors.ts'

/** A blob that is wanted, where it is to go, and what it must hash to where that is known. */
export interface WantedBlob {
  readonly id: string
  readonly key: string
  readonly expected: Digest | null
}

/** A blob that has arrived under a temporary name beside its place, hashed and synced to disk. */
export interface ReceivedBlob {
  readonly outcome: 'received'
  readonly id: string
  readonly key: string
  readonly temporaryPath: string
  readonly bytes: number
  /** Folders whose entries changed; to be synced when the file has got its name. */
  readonly folders: readonly string[]
}

export type ReceiveOutcome =
  | ReceivedBlob
  | { readonly outcome: 'large' | 'later'; readonly id: string; readonly bytes: number }
  | { readonly outcome: 'failed'; readonly id: string; readonly code: ErrorCode; readonly message: string }
