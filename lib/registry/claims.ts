import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import { VERIFICATION_STATE } from '../verification/verification-state.ts'
import { SYNC, SYNC_STATE } from './sync-state.ts'

/** A registry row that this process is to fetch. */
export interface ClaimedRow {
  readonly id: string
  /** The key under which a copy was stored before, if one was. */
  readonly storedKey: string | null
  readonly retryCount: number
  /** Size, where an attempt has learnt it. */
  readonly bytes: number | null
  /** Never tried, and every other field as it was made: the only rows whose file may have been brought by other means. */
  readonly brandNew: boolean
}

// GB.E.3: pending, and every other field at its default.
const BRAND_NEW = `(state = ${SYNC_STATE.pending} and last_synced_at is null and retry_at is null and retry_count = 0
  and verified_at is null and verification_started_at is null and verification_retry_at is null
  and verification_state = ${VERIFICATION_STATE.pending} and verification_retry_count = 0 and not checksum_mismatch
  and verification_checksum is null and verification_checksum_mismatched is null and verification_failure is null
  and last_sync_failure is null and error_code is null and blob_key is null and superseded_keys is null)`

/** Which of the types have rows to be fetched now. One statement however many types there are. */
export async function typesToSync(db: Knex, replicables: readonly Replicable[]): Promise<Replicable[]> {
  return typesWhere(
    db,
    replicables,
    `(exists (select from ?? where state = ${SYNC_STATE.pending} and removal_requested_at is null and lease_id is null)
      or exists (select from ?? where state = ${SYNC_STATE.failed} and removal_requested_at is null and lease_id is null
        and (retry_at is null or retry_at <= clock_timestamp())))`,
    2,
  )
}

/** Which of the types fulfil a condition on their registry table; the table is bound `uses` times. */
export async function typesWhere(
  db: Knex,
  replicables: readonly Replicable[],
  condition: string,
  uses: number,
): Promise<Replicable[]> {
  if (replicables.length === 0) return []
  const { rows } = await run<{ rows: { position: number }[] }>(
    db,
    replicables.map((_, position) => `select ${position} as position where ${condition}`).join(' union all '),
    replicables.flatMap(({ names }) => Array<string>(uses).fill(names.registryTable)),
  )
  return rows.flatMap((row) => replicables[row.position] ?? [])
}

/** Rows that are due, in the order in which they are taken: those never tried, then the oldest retries. */
const DUE = Object.freeze([
  { condition: SYNC.step('pending', 'started').where, order: 'id' },
  {
    condition: `${SYNC.step('failed', 'started').where} and (retry_at is null or retry_at <= clock_timestamp())`,
    order: 'retry_at nulls first',
  },
])

/**
 * Claims rows under a lease: state started. At most `limit` rows, and no more than about `byteBudget` bytes as far as sizes
 * are known (always at least one row), so that one slot is not given many large blobs. `skip locked` lets any number of
 * processes claim at once; `materialized` keeps the planner from running the locking select twice.
 */
export async function claimRows(
  trx: Knex.Transaction,
  replicable: Replicable,
  leaseId: string,
  limits: { rows: number; byteBudget: number },
): Promise<ClaimedRow[]> {
  const claimed: ClaimedRow[] = []
  for (const { condition, order } of DUE) {
    if (claimed.length >= limits.rows || (claimed.length > 0 && claimed.some((row) => row.bytes !== null))) break
    claimed.push(
      ...(await claimWhere(
        trx,
        replicable,
        leaseId,
        condition,
        order,
        limits.rows - claimed.length,
        limits.byteBudget,
      )),
    )
  }
  return claimed
}

async function claimWhere(
  trx: Knex.Transaction,
  { names }: Replicable,
  leaseId: string,
  condition: string,
  order: string,
  limit: number,
  byteBudget: number,
): Promise<ClaimedRow[]> {
  // A pending row's verification is put to disabled: from now on "pending" there means that the primary's checksum arrived
  // while the file was on its way.
  const { rows } = await run<{ rows: (Omit<ClaimedRow, 'bytes'> & { bytes: string | null })[] }>(
    trx,
    `with due as materialized (
       select id, bytes, ${BRAND_NEW} as brand_new from ?? where ${condition} and removal_requested_at is null and lease_id is null
       order by ${order} limit ? for update skip locked
     ), picked as (
       select id, brand_new from (
         select id, brand_new, sum(coalesce(bytes, 0)) over (order by id) - coalesce(bytes, 0) as before from due
       ) as sized where before < ?
     )
     update ?? as r set ${SYNC.step('pending', 'started').set}, last_synced_at = clock_timestamp(), lease_id = ?,
       verification_state = case r.verification_state
         when ${VERIFICATION_STATE.pending} then ${VERIFICATION_STATE.disabled} else r.verification_state end
     from picked where r.id = picked.id
     returning r.??::text as "id", r.blob_key as "storedKey", r.retry_count as "retryCount", r.bytes::text as "bytes",
       picked.brand_new as "brandNew"`,
    [names.registryTable, limit, byteBudget, names.registryTable, leaseId, names.foreignKey],
  )
  return rows.map((row) => ({ ...row, bytes: row.bytes === null ? null : Number(row.bytes) }))
}
