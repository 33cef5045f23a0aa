import type { Knex } from 'knex'
import { decodeDigest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import { VERIFICATION, type VerificationState } from '../verification/verification-state.ts'
import { SYNC, type SyncState } from './sync-state.ts'

/** A registry row in words. Moments are ISO 8601, null where there was none. */
export interface CopyRecord {
  readonly registryId: string
  readonly state: SyncState
  readonly verificationState: VerificationState
  readonly createdAt: string
  readonly lastSyncedAt: string | null
  readonly retryAt: string | null
  readonly attempts: number
  readonly verifiedAt: string | null
  readonly verificationRetryAt: string | null
  readonly verificationAttempts: number
  readonly checksum: string | null
  /** What the copy had where it differed. */
  readonly mismatchedChecksum: string | null
  readonly syncFailure: string | null
  readonly verificationFailure: string | null
  readonly errorCode: string | null
  readonly key: string | null
  readonly bytes: number | null
  readonly leaseId: string | null
  readonly workerLosses: number
  readonly isLeaving: boolean
  readonly isBackfill: boolean
}

type Row = Omit<CopyRecord, 'state' | 'verificationState' | 'checksum' | 'mismatchedChecksum'> & {
  readonly state: number
  readonly verificationState: number
  readonly checksum: Buffer | null
  readonly mismatchedChecksum: Buffer | null
}

/** The key of the record that a registry row is of, or null where there is no such row. */
export async function recordIdOf(tracking: Knex, { names }: Replicable, registryId: string): Promise<string | null> {
  const { rows } = await run<{ rows: { recordId: string }[] }>(
    tracking,
    'select ??::text as "recordId" from ?? where id = ?::bigint',
    [names.foreignKey, names.registryTable, registryId],
  )
  return rows[0]?.recordId ?? null
}

/** What a secondary knows of its copy of one record, or null. */
export async function copyRecord(
  tracking: Knex,
  { names, keyType }: Replicable,
  id: string,
): Promise<CopyRecord | null> {
  const moment = (column: string, name: string) => `${isoTime(column)} as "${name}"`
  const { rows } = await run<{ rows: Row[] }>(
    tracking,
    `select id::text as "registryId", state, verification_state as "verificationState", ${moment('created_at', 'createdAt')},
       ${moment('last_synced_at', 'lastSyncedAt')}, ${moment('retry_at', 'retryAt')}, retry_count as "attempts",
       ${moment('verified_at', 'verifiedAt')}, ${moment('verification_retry_at', 'verificationRetryAt')},
       verification_retry_count as "verificationAttempts", verification_checksum as "checksum",
       verification_checksum_mismatched as "mismatchedChecksum", last_sync_failure as "syncFailure",
       verification_failure as "verificationFailure", error_code as "errorCode", blob_key as "key", bytes::float8 as "bytes",
       lease_id::text as "leaseId", worker_losses as "workerLosses", removal_requested_at is not null as "isLeaving",
       backfill as "isBackfill"
     from ?? where ?? = ?::${keyType}`,
    [names.registryTable, names.foreignKey, id],
  )
  const [row] = rows
  return (
    (row && {
      ...row,
      state: SYNC.named(row.state),
      verificationState: VERIFICATION.named(row.verificationState),
      checksum: decodeDigest(row.checksum)?.hex ?? null,
      mismatchedChecksum: decodeDigest(row.mismatchedChecksum)?.hex ?? null,
    }) ??
    null
  )
}
