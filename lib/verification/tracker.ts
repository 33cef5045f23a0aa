import type { Knex } from 'knex'
import type { Digest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { ErrorCode, GeoError } from '../errors.ts'
import type { DrawnPage, DrawRequest } from './draw-page.ts'

/** A record that this process is to hash. */
export interface ClaimedRecord {
  readonly id: string
  /** Of a secondary's registry row; null on the primary. */
  readonly registryId: string | null
  /** What it waited as. */
  readonly from: 'pending' | 'failed' | 'succeeded'
  /** The moment of the claim, as the database wrote it: a later one means that verification was asked for anew. */
  readonly startedAt: string
  readonly retryCount: number
  /** The checksum that this site recorded before, if any. */
  readonly recorded: Digest | null
  /** An earlier verification has found the primary's bytes to differ from the recorded checksum. */
  readonly corrupt: boolean
  /** There is a recorded checksum, of an algorithm that only a newer version knows. */
  readonly unreadable: boolean
  /** Seconds from the event that told of these bytes until the claim, by the databases' clocks; null where none did, or on the primary. */
  readonly announcedSecondsAgo: number | null
  /** The host's trace in which these bytes were written; null where there was none, or on the primary. */
  readonly traceparent: string | null
  /** The key under which a secondary keeps its copy; null on the primary, whose rows say it. */
  readonly storedKey: string | null
}

/** What to hash for a claimed record, or why there is nothing to hash. */
export type HashPlan =
  | {
      readonly id: string
      readonly key: string
      /** What is recorded of bytes that are as expected. */
      readonly algorithm: Digest['algorithm']
      /** What they are judged by; null where this is their first checksum. */
      readonly expected: Digest | null
    }
  | { readonly id: string; readonly key: null; readonly verdict: Verdict }
  /** The key cannot be said: counted and tried again like any other failure. */
  | { readonly id: string; readonly key: null; readonly failure: GeoError }

/** How the verification of a record ends. */
export type Verdict =
  | { readonly id: string; readonly outcome: 'succeeded'; readonly digest: Digest }
  | { readonly id: string; readonly outcome: 'disabled' }
  | {
      readonly id: string
      readonly outcome: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly retryInSeconds: number
      /** Only where the bytes were hashed and differ from what they are judged by. */
      readonly mismatch?: { readonly local: Digest; readonly expected: Digest }
    }

/**
 * What GB.B.1 asks of a verdict before it is written: a failure says why, a success has a checksum. The types leave room for
 * empty texts, and a row that failed without a word would tell an operator nothing.
 */
export function requireComplete(verdicts: readonly Verdict[]): void {
  for (const verdict of verdicts) {
    if (verdict.outcome === 'failed' && verdict.message.trim() === '')
      throw new Error(`The verification of record ${verdict.id} failed without a reason`)
    if (verdict.outcome === 'succeeded' && verdict.digest.hex === '')
      throw new Error(`The verification of record ${verdict.id} succeeded without a checksum`)
  }
}

/** Where a site keeps what it knows of the checksums of a type: the primary beside the host's rows, a secondary in its registry. */
export interface VerificationTracker {
  /** The table that holds the verification state of a type. */
  tableOf(replicable: Replicable): string
  /** The types that have something to be hashed now. */
  waiting(db: Knex, replicables: readonly Replicable[]): Promise<Replicable[]>
  /** Claims records: state started. A share for failed ones whose retry is due, then pending ones, then more retries. */
  claim(trx: Knex.Transaction, replicable: Replicable, limit: number): Promise<ClaimedRecord[]>
  /** Claims those of the given records that are verified. */
  claimVerified(trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]): Promise<ClaimedRecord[]>
  /** Draws from the verified records on one page of keys. */
  draw(db: Knex, replicable: Replicable, request: DrawRequest): Promise<DrawnPage>
  /** What is to be hashed, and against what it is judged. */
  plan(replicable: Replicable, claimed: readonly ClaimedRecord[]): Promise<HashPlan[]>
  /**
   * Writes the verdicts on rows that are still started since the moment of the claim, and returns the ids of those. A verdict
   * on a row of which verification was asked for anew meanwhile is dropped: it may be of the bytes before.
   */
  record(
    trx: Knex.Transaction,
    replicable: Replicable,
    claimed: readonly ClaimedRecord[],
    verdicts: readonly Verdict[],
  ): Promise<readonly string[]>
  /** Records of a process that died: due at once the first time, then after a backoff. Returns those that were started. */
  takeOver(
    trx: Knex.Transaction,
    replicable: Replicable,
    ids: readonly string[],
    retryInSeconds: number,
  ): Promise<readonly string[]>
  /** Records of a process that stops in good order: pending again, nothing counted. */
  giveBack(trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]): Promise<void>
}
