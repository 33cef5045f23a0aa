import type { Knex } from 'knex'
import { run } from '../databases.ts'
import { truncateFailure } from '../errors.ts'
import type { BulkRunRow } from './bulk-run.ts'
import type { CheckedRequest } from './request.ts'

/** The door to geo_bulk_runs: in the tracking database of a secondary, in the main one of the primary. */

const ACTIVE = 'finished_at is null and cancelled_at is null'
const KEPT_DAYS = 30
/** A page that took longer than this is too large, one that took less than a quarter of it too small. */
const PAGE_TARGET_S = 0.4
const SMALLEST_PAGE = 10
const LARGEST_PAGE = 10_000

type Rows = { rows: BulkRunRow[] }

/** Stores a run; null where one of its kind is active. Old ones go at this occasion. */
export async function insertRun(
  trx: Knex.Transaction,
  { action, replicable, filter, dryRun, requestedBy }: CheckedRequest,
  bounds: { first: string | null; last: string | null },
): Promise<BulkRunRow | null> {
  await run(
    trx,
    `delete from geo_bulk_runs where coalesce(finished_at, cancelled_at) < clock_timestamp() - ? * interval '1 day'`,
    [KEPT_DAYS],
  )
  const { rows } = await run<Rows>(
    trx,
    `insert into geo_bulk_runs (action, replicable_name, filter, dry_run, requested_by, first_key, last_key)
     values (?, ?, ?, ?, ?, ?, ?)
     on conflict (action, replicable_name, dry_run) where ${ACTIVE} do nothing
     returning *`,
    [action, replicable.name, JSON.stringify(filter), dryRun, requestedBy, bounds.first, bounds.last],
  )
  return rows[0] ?? null
}

/** The active run of the same kind, if there is one. */
export async function findActiveRun(
  db: Knex,
  { action, replicable, dryRun }: Pick<CheckedRequest, 'action' | 'replicable' | 'dryRun'>,
): Promise<BulkRunRow | null> {
  const { rows } = await run<Rows>(
    db,
    `select * from geo_bulk_runs where action = ? and replicable_name = ? and dry_run = ? and ${ACTIVE}`,
    [action, replicable.name, dryRun],
  )
  return rows[0] ?? null
}

export async function findRun(db: Knex, id: string): Promise<BulkRunRow | null> {
  const { rows } = await run<Rows>(db, 'select * from geo_bulk_runs where id = ?', [id])
  return rows[0] ?? null
}

/** The newest first. */
export async function listRuns(db: Knex, limit: number): Promise<BulkRunRow[]> {
  const { rows } = await run<Rows>(db, 'select * from geo_bulk_runs order by id desc limit ?', [limit])
  return rows
}

/** The runs that have something to be done, the oldest first. */
export async function activeRuns(db: Knex): Promise<Pick<BulkRunRow, 'id' | 'action' | 'replicable_name'>[]> {
  const { rows } = await run<Rows>(
    db,
    `select id, action, replicable_name from geo_bulk_runs where ${ACTIVE} order by id`,
  )
  return rows
}

/** Waits for the page that is being done, at most; none is done afterwards. */
export async function cancelRun(db: Knex, id: string): Promise<void> {
  await run(db, `update geo_bulk_runs set cancelled_at = clock_timestamp() where id = ? and ${ACTIVE}`, [id])
}

/** The run, locked for one page; null where it has ended or another process has it. */
export async function lockRun(trx: Knex.Transaction, id: string): Promise<BulkRunRow | null> {
  const { rows } = await run<Rows>(
    trx,
    `select * from geo_bulk_runs where id = ? and ${ACTIVE} for update skip locked`,
    [id],
  )
  return rows[0] ?? null
}

export interface Advance {
  readonly after: string | null
  readonly walked: boolean
  readonly leftOver: readonly string[]
  readonly examined: number
  readonly changed: number
}

/**
 * Notes a page in its own transaction: a page is done and counted, or neither. The next one is made larger or smaller by the
 * time that this one took in the database.
 */
export async function advanceRun(trx: Knex.Transaction, id: string, advance: Advance): Promise<void> {
  const { after, walked, leftOver, examined, changed } = advance
  await run(
    trx,
    `update geo_bulk_runs set started_at = coalesce(started_at, transaction_timestamp()),
       after_key = coalesce(?, after_key), walked = ?, left_over = ?::text[], examined = examined + ?, changed = changed + ?,
       finished_at = case when ? then clock_timestamp() end,
       page_size = case
         when clock_timestamp() - transaction_timestamp() > ? * interval '1 second' then greatest(page_size / 2, ${SMALLEST_PAGE})
         when clock_timestamp() - transaction_timestamp() < ? * interval '1 second' then least(page_size * 2, ${LARGEST_PAGE})
         else page_size end
     where id = ?`,
    [
      after,
      walked,
      [...leftOver],
      examined,
      changed,
      walked && leftOver.length === 0,
      PAGE_TARGET_S,
      PAGE_TARGET_S / 4,
      id,
    ],
  )
}

/** A page was called off because it took too long. False where it cannot be any smaller. */
export async function shrinkPage(db: Knex, id: string): Promise<boolean> {
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `update geo_bulk_runs set page_size = greatest(page_size / 2, ${SMALLEST_PAGE}) where id = ? and page_size > ${SMALLEST_PAGE}`,
    [id],
  )
  return rowCount > 0
}

export async function noteFailure(db: Knex, id: string, message: string): Promise<void> {
  await run(db, 'update geo_bulk_runs set failed_at = clock_timestamp(), failure = ? where id = ?', [
    truncateFailure(message),
    id,
  ])
}
