import type { Knex } from 'knex'
import { decodeDigest } from '../blob/digest.ts'
import { CORRUPT_PREFIX, stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import { VERIFICATION, type VerificationState } from './verification-state.ts'

/** The primary's verification of one record in words. Moments are ISO 8601. */
export interface PrimaryRecord {
  readonly verificationState: VerificationState
  readonly verifiedAt: string | null
  readonly retryAt: string | null
  readonly attempts: number
  readonly algorithm: string | null
  readonly checksum: string | null
  readonly failure: string | null
  readonly isCorrupt: boolean
}

interface Row extends Pick<PrimaryRecord, 'verifiedAt' | 'retryAt' | 'attempts' | 'failure'> {
  readonly state: number
  readonly checksum: Buffer | null
}

/** From the primary's database or a replica of it; null where nothing is kept of the record yet. */
export async function primaryRecord(db: Knex, replicable: Replicable, id: string): Promise<PrimaryRecord | null> {
  const { table, key } = stateTableOf(replicable)
  const { rows } = await run<{ rows: Row[] }>(
    db,
    `select verification_state as state, ${isoTime('verified_at')} as "verifiedAt", ${isoTime('verification_retry_at')} as "retryAt",
       coalesce(verification_retry_count, 0) as "attempts", verification_checksum as checksum, verification_failure as failure
     from ?? where ?? = ?::${replicable.keyType}`,
    [table, key, id],
  )
  const [row] = rows
  if (!row) return null
  const { state, checksum, ...rest } = row
  const digest = decodeDigest(checksum)
  return {
    ...rest,
    verificationState: VERIFICATION.named(state),
    algorithm: digest?.algorithm ?? null,
    checksum: digest?.hex ?? null,
    isCorrupt: row.failure?.startsWith(CORRUPT_PREFIX) ?? false,
  }
}
