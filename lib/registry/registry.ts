import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { anyOf, run } from '../databases.ts'
import type { ErrorCode } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import { logSyncMoved, type MovedLiteral, type MovedRow } from '../transition-log.ts'
import { VERIFICATION_STATE } from '../verification/verification-state.ts'
import { SYNC, SYNC_STATE, type SyncState } from './sync-state.ts'

/** The door to a type's registry table: which records it has, and that they are to be fetched. */

/** When the primary told of a record, and in which trace. */
export interface Announcement {
  readonly createdAt: string
  readonly traceparent: string | null
}

/** By record id. */
export type Announcements = ReadonlyMap<string, Announcement>

function timesOf(ids: readonly string[], announced: Announcements): (string | null)[] {
  return ids.map((id) => announced.get(id)?.createdAt ?? null)
}

function tracesOf(ids: readonly string[], announced: Announcements): (string | null)[] {
  return ids.map((id) => announced.get(id)?.traceparent ?? null)
}

/**
 * An event tells of records: adds pending rows for those that have none, takes back a removal that was asked for, and a row
 * that waits as backfill becomes new. Returns how many were added, and those that came back.
 */
export async function insertPending(
  db: Knex,
  { names, keyType }: Replicable,
  ids: readonly string[],
  announced: Announcements = new Map(),
): Promise<{ added: number; returned: readonly Returned[] }> {
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `insert into ?? (??, created_at, state, announced_at, traceparent)
     select id, clock_timestamp(), ${SYNC_STATE.pending}, announced_at, traceparent
     from unnest(?::${keyType}[], ?::timestamptz[], ?::text[]) as u(id, announced_at, traceparent)
     on conflict (??) do nothing`,
    [names.registryTable, names.foreignKey, ids, timesOf(ids, announced), tracesOf(ids, announced), names.foreignKey],
  )
  const returned = await cancelRemovals(db, { names, keyType }, ids)
  await run(db, `update ?? set backfill = false where ?? = any(?::${keyType}[]) and backfill`, [
    names.registryTable,
    names.foreignKey,
    ids,
  ])
  return { added: rowCount, returned }
}

/** Rows that came back before they were removed, by the state in which they were. */
export interface Returned extends MovedLiteral {
  readonly from: SyncState
}

/**
 * A record that came back before its removal was carried out keeps its row. What happened to it in between is not known, so
 * it is fetched again. The ids are an array or, from a page, its literal.
 */
export async function cancelRemovals(
  db: Knex,
  { names, keyType }: Pick<Replicable, 'names' | 'keyType'>,
  ids: readonly string[] | string,
): Promise<Returned[]> {
  const { rows } = await run<{ rows: (MovedLiteral & { before: number })[] }>(
    db,
    `with asked as materialized (
       select id as row_id, state as before from ?? where ?? = any(?::${keyType}[]) and removal_requested_at is not null
       order by id for update
     ), returned as (
       update ?? as r set removal_requested_at = null, removal_retry_at = null, ${TO_PENDING} from asked
       where r.id = row_id and r.id = ${anyOf('asked', 'row_id')} and r.removal_requested_at is not null
       returning r.?? as id, before
     ) select before, count(*)::int as count, array_agg(id)::text as literal from returned group by before`,
    [names.registryTable, names.foreignKey, ids, names.registryTable, names.foreignKey],
  )
  return rows.map(({ before, ...moved }) => ({ ...moved, from: SYNC.named(before) }))
}

export function logReturned(
  trx: Knex.Transaction | null,
  logger: LoggerLike,
  replicable: Replicable,
  returned: readonly Returned[],
): void {
  for (const { from, ...moved } of returned) {
    logSyncMoved(trx, logger, replicable, { method: 'cancelRemovals', from, to: 'pending' }, moved)
  }
}

/**
 * The event `pending` of GB.A.2, from every state, with its effect on verification (GB.A.4). The lease stays: who works the row
 * at this moment finishes in vain, and only then may another claim it.
 */
export const TO_PENDING = `state = ${SYNC_STATE.pending}, retry_at = null, retry_count = 0, worker_losses = 0,
  verification_state = ${VERIFICATION_STATE.disabled}`

/**
 * An event tells of other bytes: puts rows back to pending, in whatever state they are, as new. Returns them with their states
 * before.
 */
export async function resyncRecords(
  db: Knex,
  { names, keyType }: Replicable,
  ids: readonly string[],
  announced: Announcements = new Map(),
): Promise<(MovedRow & { from: SyncState })[]> {
  if (ids.length === 0) return []
  const { rows } = await run<{ rows: (MovedRow & { before: number })[] }>(
    db,
    `with resynced as materialized (
       select r.id as row_id, r.state as before, a.announced_at as announced, a.traceparent as trace
       from ?? as r join unnest(?::${keyType}[], ?::timestamptz[], ?::text[]) as a(id, announced_at, traceparent)
         on r.?? = a.id where r.?? = any(?::${keyType}[]) order by r.id for update of r
     )
     update ?? as r set ${TO_PENDING}, backfill = false, announced_at = announced, traceparent = trace
     from resynced where r.id = row_id and r.id = ${anyOf('resynced', 'row_id')}
     returning r.??::text as "id", r.id::text as "registryId", before`,
    [
      names.registryTable,
      ids,
      timesOf(ids, announced),
      tracesOf(ids, announced),
      names.foreignKey,
      names.foreignKey,
      ids,
      names.registryTable,
      names.foreignKey,
    ],
  )
  return rows.map(({ before, ...row }) => ({ ...row, from: SYNC.named(before) }))
}

// Failures that a good file on the primary puts right.
const OF_THE_PRIMARY: readonly ErrorCode[] = [
  'CORRUPT_ON_PRIMARY',
  'FILE_NOT_FOUND',
  'CHECKSUM_MISMATCH',
  'BLOB_FUNCTION_FAILED',
]

/**
 * The primary has verified its files of these records: those that failed because of them are due at once. What was counted stays,
 * so that the backoff goes on where it was if they fail again. Returns how many.
 */
export async function retryRefused(db: Knex, { names, keyType }: Replicable, ids: readonly string[]): Promise<number> {
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `update ?? set retry_at = null where ?? = any(?::${keyType}[]) and state = ${SYNC_STATE.failed}
       and error_code = any(?::text[]) and removal_requested_at is null`,
    [names.registryTable, names.foreignKey, ids, OF_THE_PRIMARY],
  )
  return rowCount
}
