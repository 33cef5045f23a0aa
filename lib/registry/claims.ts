import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { anyOf, run } from '../databases.ts'
import { VERIFICATION_STATE } from '../verification/verification-state.ts'
import { type DueRange, type LookedAt, waitingTypes } from '../waiting-types.ts'
import { SYNC, SYNC_STATE } from './sync-state.ts'
import { UNHELD } from './unheld.ts'

/** A registry row that this process is to fetch. */
export interface ClaimedRow {
  readonly id: string
  readonly registryId: string
  /** The key under which a copy was stored before, if one was. */
  readonly storedKey: string | null
  readonly retryCount: number
  /** Size, where an attempt has learnt it. */
  readonly bytes: number | null
  /** Never tried, and every other field as it was made: the only rows whose file may have been brought by other means. */
  readonly brandNew: boolean
  /**
   * Of a row that an event told of and that has not been verified since: seconds since the host's transaction on the primary, by
   * the clocks of the two databases.
   */
  readonly announcedSecondsAgo: number | null
  /** The host's trace in which the file was written, if there was one. */
  readonly traceparent: string | null
}

// GB.E.3: pending, and every other field at its default.
const BRAND_NEW = `(state = ${SYNC_STATE.pending} and last_synced_at is null and retry_at is null and retry_count = 0
  and verified_at is null and verification_started_at is null and verification_retry_at is null
  and verification_state = ${VERIFICATION_STATE.pending} and verification_retry_count = 0 and not checksum_mismatch
  and verification_checksum is null and verification_checksum_mismatched is null and verification_failure is null
  and last_sync_failure is null and error_code is null and blob_key is null and superseded_keys is null)`

/**
 * Why a row waits to be fetched: told of by an event (`new`), its retry is due (`retry`), or found by reconciliation or asked
 * for in bulk (`backfill`). Claimed in this order.
 */
export const SYNC_CLASSES = Object.freeze(['new', 'retry', 'backfill'] as const)
export type SyncClass = (typeof SYNC_CLASSES)[number]

// Each condition is a range of one index (see table.ts), so a claim costs the same however many rows wait or are not due.
// That needs a moment that stands still during the statement, and retries without a date asked for by themselves.
const FREE = `removal_requested_at is null and ${UNHELD}`
const PENDING = `${SYNC.step('pending', 'started').where} and ${FREE}`
const FAILED = `${SYNC.step('failed', 'started').where} and ${FREE}`
const RETRIES = 'retry_at nulls first'
const RETRY_DUE = 'retry_at <= statement_timestamp()'
const DUE: Readonly<Record<SyncClass, readonly DueRange[]>> = Object.freeze({
  new: [{ condition: `${PENDING} and not backfill`, order: 'id' }],
  retry: [
    { condition: `${FAILED} and retry_at is null`, order: RETRIES },
    { condition: `${FAILED} and ${RETRY_DUE}`, order: RETRIES },
  ],
  backfill: [{ condition: `${PENDING} and backfill`, order: 'id' }],
})
const LOOKED_AT: readonly LookedAt[] = [
  ...DUE.new,
  { condition: FAILED, order: RETRIES, due: `retry_at is null or ${RETRY_DUE}` },
  ...DUE.backfill,
]

/** Which of the types have rows to be fetched now. */
export function typesToSync(db: Knex, replicables: readonly Replicable[]): Promise<Replicable[]> {
  return waitingTypes(db, replicables, ({ names }) => names.registryTable, LOOKED_AT)
}

/**
 * How many rows a batch may have with one whose worker was lost so often in a row: whoever dies takes its whole batch along, and
 * what is with a blob that kills its worker must not wait with it. From then on such a row is alone.
 */
const COMPANY = Object.freeze(['?::bigint', '25', '5'])
export const LOSSES_IN_COMPANY = COMPANY.length
const ALLOWED = `case ${COMPANY.map((most, losses) => `when losses <= ${losses} then ${most}`).join(' ')} else 1 end`

/** How much one claim takes: so many rows, and so many bytes as far as sizes are known, but always one row. */
export interface ClaimLimits {
  readonly rows: number
  readonly byteBudget: number
}

/**
 * Claims rows under a lease: state started. The classes fill the batch in the given order, within the limits, so that one slot is
 * not given many large blobs. `skip locked` lets any number of processes claim at once; `materialized` keeps the planner from
 * running the locking select twice.
 */
export async function claimRows(
  trx: Knex.Transaction,
  replicable: Replicable,
  leaseId: string,
  limits: ClaimLimits,
  order: readonly SyncClass[] = SYNC_CLASSES,
): Promise<ClaimedRow[]> {
  const claimed: ClaimedRow[] = []
  let { rows, byteBudget } = limits
  let losses = 0
  for (const due of order.flatMap((name) => DUE[name])) {
    if (rows <= 0 || byteBudget <= 0) break
    const room = { rows, byteBudget, claimed: claimed.length, losses }
    const fitting = await rowsWithin(trx, replicable, due, room)
    if (fitting === 0) continue
    const more = await claimWhere(trx, replicable, leaseId, due, { ...room, rows: fitting })
    claimed.push(...more.map((row) => row.claimed))
    rows -= more.length
    byteBudget -= more.reduce((sum, row) => sum + (row.claimed.bytes ?? 0), 0)
    losses = more.reduce((most, row) => Math.max(most, row.losses), losses)
  }
  return claimed
}

/** What is left of the limits. Where nothing has been claimed yet one row is, however large. */
interface Room extends ClaimLimits {
  /** How many rows the batch has already. */
  readonly claimed: number
  /** The most processes in a row that one of these has lost. */
  readonly losses: number
}

// In the order of the range: how many rows there are up to each, how many bytes as far as they are known, and how many processes one
// of the batch has lost by then.
const UP_TO = (order: string): string =>
  `row_number() over (order by ${order}, id) + ?::bigint as number, sum(coalesce(bytes, 0)) over (order by ${order}, id) as total,
   greatest(?::int, max(worker_losses) over (order by ${order}, id)) as losses`
const FITS = `((total <= ?::numeric or number = 1) and number <= ${ALLOWED})`
const bindingsOf = ({ claimed, losses }: Room) => [claimed, losses]
const fitsBindingsOf = ({ rows, byteBudget, claimed }: Room) => [byteBudget, rows + claimed]

/**
 * How many rows of a range there is room for, as they lie there. Only so many are then locked: of large blobs a few, where a claim
 * would else keep hundreds from all others that claim at that moment.
 */
async function rowsWithin(
  trx: Knex.Transaction,
  { names }: Replicable,
  { condition, order }: DueRange,
  room: Room,
): Promise<number> {
  const { rows } = await run<{ rows: { fitting: number }[] }>(
    trx,
    `select count(*)::int as fitting from (
       select ${UP_TO(order)}
       from (select id, bytes, retry_at, worker_losses from ?? where ${condition} order by ${order} limit ?) as due
     ) as sized where ${FITS}`,
    [...bindingsOf(room), names.registryTable, room.rows, ...fitsBindingsOf(room)],
  )
  return rows[0]?.fitting ?? 0
}

async function claimWhere(
  trx: Knex.Transaction,
  { names }: Replicable,
  leaseId: string,
  { condition, order }: DueRange,
  room: Room,
): Promise<{ claimed: ClaimedRow; losses: number }[]> {
  // A pending row's verification is put to disabled: from now on "pending" there means that it was asked for while
  // the file was on its way.
  const { rows } = await run<{ rows: (Omit<ClaimedRow, 'bytes'> & { bytes: string | null; losses: number })[] }>(
    trx,
    `with due as materialized (
       select id, bytes, retry_at, worker_losses, ${BRAND_NEW} as brand_new from ?? where ${condition}
       order by ${order} limit ? for update skip locked
     ), sized as (select id, brand_new, ${UP_TO(order)} from due
     ), picked as (select id, brand_new from sized where ${FITS})
     update ?? as r set ${SYNC.step('pending', 'started').set}, last_synced_at = clock_timestamp(), lease_id = ?,
       verification_state = case r.verification_state
         when ${VERIFICATION_STATE.pending} then ${VERIFICATION_STATE.disabled} else r.verification_state end
     from picked where r.id = picked.id and r.id = ${anyOf('picked')}
     returning r.??::text as "id", r.id::text as "registryId", r.blob_key as "storedKey", r.retry_count as "retryCount", r.bytes::text as "bytes",
       picked.brand_new as "brandNew", r.traceparent, r.worker_losses as "losses",
       extract(epoch from clock_timestamp() - r.announced_at)::float8 as "announcedSecondsAgo"`,
    [
      names.registryTable,
      room.rows,
      ...bindingsOf(room),
      ...fitsBindingsOf(room),
      names.registryTable,
      leaseId,
      names.foreignKey,
    ],
  )
  return rows.map(({ losses, ...row }) => ({
    losses,
    claimed: { ...row, bytes: row.bytes === null ? null : Number(row.bytes) },
  }))
}
