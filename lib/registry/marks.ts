import type { Knex } from 'knex'
import { type Digest, encodeDigest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { checked, run } from '../databases.ts'
import { type ErrorCode, truncateFailure } from '../errors.ts'
import { LEASE_MS } from '../lease.ts'
import type { MovedRow } from '../transition-log.ts'
import { VERIFICATION, VERIFICATION_STATE } from '../verification/verification-state.ts'
import { LOSSES_IN_COMPANY } from './claims.ts'
import { earlier } from './removal.ts'
import { SYNC, SYNC_STATE } from './sync-state.ts'
import { VERIFIED_SET } from './verification-marks.ts'
import { verificationPending } from './verification-reset.ts'

/** How an attempt to fetch ends for a row. Each statement writes only rows that are still started under the given lease. */

const SUCCEEDS = SYNC.step('started', 'synced')
const FAILS = SYNC.step('started', 'failed')
const VERIFIES = VERIFICATION.step('started', 'succeeded')
const MOVED = 'r.??::text as "id", r.id::text as "registryId"'

/** A file in its place. */
export interface StoredCopy {
  readonly id: string
  readonly key: string
  readonly bytes: number
  /** The version of the host's row that said the key: a pass looks again at a row that has another by then. */
  readonly rowVersion: string
}

export interface SyncedRow extends StoredCopy {
  /** Whether the primary has a checksum to verify against. */
  readonly verifiable: boolean
}

/** A copy whose stored bytes were hashed under its name, by whoever gave it the name, and are what the primary has. */
export interface VerifiedRow extends StoredCopy {
  readonly digest: Digest
}

// "pending" on a started row says that its verification was asked for while the file was on its way.
const VERIFIABLE = `(m.verifiable or verification_state = ${VERIFICATION_STATE.pending})`

const STORED = `retry_count = 0, retry_at = null, worker_losses = 0, last_sync_failure = null, error_code = null, lease_id = null,
  blob_key = m.key, bytes = m.bytes, row_version = m.row_version,
  superseded_keys = case when r.blob_key <> m.key then r.superseded_keys || r.blob_key else r.superseded_keys end`

/**
 * Synced and verified at once, the claim and the end of the verification in one statement. A row whose verification was asked for
 * while its file was on its way is left to markSynced, and hashed again.
 */
export async function markVerified(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  leaseId: string,
  rows: readonly VerifiedRow[],
): Promise<MovedRow[]> {
  if (rows.length === 0) return []
  const { rows: moved } = await run<{ rows: MovedRow[] }>(
    trx,
    `update ?? as r set ${SUCCEEDS.set}, ${STORED}, ${VERIFIES.set}, ${VERIFIED_SET}
     from unnest(?::${keyType}[], ?::text[], ?::bigint[], ?::bigint[], ?::bytea[])
       as m(id, key, bytes, row_version, checksum)
     where r.?? = m.id and r.?? = any(?::${keyType}[])
       and ${checked(`${SUCCEEDS.where} and lease_id = ? and r.verification_state <> ${VERIFICATION_STATE.pending}`)}
     returning ${MOVED}`,
    [
      names.registryTable,
      rows.map((row) => row.id),
      rows.map((row) => row.key),
      rows.map((row) => row.bytes),
      rows.map((row) => row.rowVersion),
      rows.map((row) => encodeDigest(row.digest)),
      names.foreignKey,
      names.foreignKey,
      rows.map((row) => row.id),
      leaseId,
      names.foreignKey,
    ],
  )
  return moved
}

/**
 * Synced: the file is in place and durable. Verification becomes pending where the primary's checksum is known, or where
 * it was asked for while the file was on its way. A copy under an earlier key is noted for removal.
 */
export async function markSynced(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  leaseId: string,
  rows: readonly SyncedRow[],
): Promise<MovedRow[]> {
  if (rows.length === 0) return []
  const { rows: moved } = await run<{ rows: MovedRow[] }>(
    trx,
    `update ?? as r set ${SUCCEEDS.set}, ${STORED}, ${verificationPending(VERIFIABLE, VERIFICATION_STATE.disabled)}
     from unnest(?::${keyType}[], ?::text[], ?::bigint[], ?::boolean[], ?::bigint[])
       as m(id, key, bytes, verifiable, row_version)
     where r.?? = m.id and r.?? = any(?::${keyType}[])
       and ${checked(`${SUCCEEDS.where} and lease_id = ?`)}
     returning ${MOVED}`,
    [
      names.registryTable,
      rows.map((row) => row.id),
      rows.map((row) => row.key),
      rows.map((row) => row.bytes),
      rows.map((row) => row.verifiable),
      rows.map((row) => row.rowVersion),
      names.foreignKey,
      names.foreignKey,
      rows.map((row) => row.id),
      leaseId,
      names.foreignKey,
    ],
  )
  return moved
}

/** A file that lies in the store under a name that the registry may not know. */
export interface StrayFile {
  readonly id: string
  readonly key: string
}

/**
 * Files that got, or may have got, their names though their rows had been put back to pending meanwhile or were never marked: where the
 * row goes or gets another key, no one else would know of them, so they are noted for removal. One that comes to use again is kept
 * by the removal itself.
 */
export async function noteStrayFiles(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  files: readonly StrayFile[],
): Promise<void> {
  if (files.length === 0) return
  await run(
    trx,
    `update ?? as r set superseded_keys = r.superseded_keys || m.key
     from unnest(?::${keyType}[], ?::text[]) as m(id, key)
     where r.?? = m.id and r.?? = any(?::${keyType}[]) and r.blob_key is distinct from m.key`,
    [
      names.registryTable,
      files.map((file) => file.id),
      files.map((file) => file.key),
      names.foreignKey,
      names.foreignKey,
      files.map((file) => file.id),
    ],
  )
}

export interface FailedRow {
  readonly id: string
  readonly code: ErrorCode
  readonly message: string
  readonly retryInSeconds: number
}

/** Failed: one more retry counted, the next when it is due. */
export async function markFailed(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  leaseId: string,
  rows: readonly FailedRow[],
): Promise<MovedRow[]> {
  if (rows.length === 0) return []
  const { rows: moved } = await run<{ rows: MovedRow[] }>(
    trx,
    `update ?? as r set ${FAILS.set}, lease_id = null, last_sync_failure = m.message, error_code = m.code,
       retry_count = least(r.retry_count + 1, ${HIGHEST_RETRY_COUNT}),
       retry_at = clock_timestamp() + m.retry_in * interval '1 second', worker_losses = 0
     from unnest(?::${keyType}[], ?::text[], ?::text[], ?::float8[]) as m(id, message, code, retry_in)
     where r.?? = m.id and r.?? = any(?::${keyType}[])
       and ${checked(`${FAILS.where} and lease_id = ?`)}
     returning ${MOVED}`,
    [
      names.registryTable,
      rows.map((row) => row.id),
      rows.map((row) => truncateFailure(row.message)),
      rows.map((row) => row.code),
      rows.map((row) => row.retryInSeconds),
      names.foreignKey,
      names.foreignKey,
      rows.map((row) => row.id),
      leaseId,
      names.foreignKey,
    ],
  )
  return moved
}

/** What was learnt of a row that was given back: its size, so that a large blob is claimed by itself. */
export interface SizedRow {
  readonly id: string
  readonly bytes: number
}

export async function noteSizes(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  rows: readonly SizedRow[],
): Promise<void> {
  if (rows.length === 0) return
  await run(
    trx,
    `update ?? as r set bytes = m.bytes from unnest(?::${keyType}[], ?::bigint[]) as m(id, bytes)
     where r.?? = m.id and r.?? = any(?::${keyType}[])`,
    [
      names.registryTable,
      rows.map((row) => row.id),
      rows.map((row) => row.bytes),
      names.foreignKey,
      names.foreignKey,
      rows.map((row) => row.id),
    ],
  )
}

/**
 * Gives back every row that is still held under the lease, without counting a failure: as it was before the claim if it was
 * started, untouched if someone changed its state meanwhile.
 */
export async function giveBackRows(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  leaseId: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return
  await run(
    trx,
    `update ?? as r set lease_id = null,
       state = case when r.state <> ${SYNC_STATE.started} then r.state
                    when r.retry_count > 0 then ${SYNC_STATE.failed} else ${SYNC_STATE.pending} end
     where r.?? = any(?::${keyType}[]) and ${checked('r.lease_id = ?')}`,
    [names.registryTable, names.foreignKey, ids, leaseId],
  )
}

/**
 * Rows of a process that died. Started ones count one failure and are due at once, and when it happens again after the time of a lease: as
 * long as a row was lost with others, and once when it was alone (see claimRows), nothing is known against it, but who begins processes
 * anew may give up where one dies after the other. A blob that kills its worker must not loop, so from then on it waits
 * `retryInSeconds`, then twice as long each time, sixteen times at most. An earlier cause is kept.
 */
export async function takeOverRows(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  leaseId: string,
  ids: readonly string[],
  retryInSeconds: number,
): Promise<MovedRow[]> {
  const { rows: moved } = await run<{ rows: MovedRow[] }>(
    trx,
    `update ?? as r set
       last_sync_failure = coalesce(${earlier('last_sync_failure')}, 'The process that fetched this blob stopped answering'),
       error_code = coalesce(${earlier('error_code')}, 'WORKER_LOST'),
       retry_at = clock_timestamp() + case when r.worker_losses = 0 then interval '0'
         when r.worker_losses <= ${LOSSES_IN_COMPANY} then interval '${LEASE_MS} ms'
         else ? * power(2, least(r.worker_losses - ${LOSSES_IN_COMPANY + 1}, 4)) * interval '1 second' end,
       worker_losses = least(r.worker_losses + 1, ${HIGHEST_RETRY_COUNT}),
       retry_count = least(r.retry_count + 1, ${HIGHEST_RETRY_COUNT}), ${FAILS.set}
     where r.?? = any(?::${keyType}[]) and ${checked(`${FAILS.where} and lease_id = ?`)}
     returning ${MOVED}`,
    [names.registryTable, retryInSeconds, names.foreignKey, ids, leaseId, names.foreignKey],
  )
  await giveBackRows(trx, { names, keyType } as Replicable, leaseId, ids)
  return moved
}
