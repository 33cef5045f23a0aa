import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { anyOf, run } from '../databases.ts'
import { VERIFICATION } from '../verification/verification-state.ts'
import { SYNC_STATE } from './sync-state.ts'

const AGAIN = VERIFICATION.step('succeeded', 'pending')

const FEWEST_AT_ONCE = 100
const MINUTES_PER_DAY = 1440
// Copies that were verified together come due together; they are taken over a tenth of the interval.
const SPREAD_OVER = 0.1

/**
 * Asks for the copies verified longest ago to be hashed again once that is longer ago than the interval; to be called once
 * a minute. Each time at most so many that all rows of the type would be asked for in a tenth of the interval, by the
 * planner's estimate of how many there are, but at least 100: a million copies of one backfill never come due at once.
 * Returns how many.
 */
export async function reverifyOldestCopies(
  tracking: Knex,
  replicable: Replicable,
  intervalDays: number,
): Promise<number> {
  const spreadMinutes = intervalDays * MINUTES_PER_DAY * SPREAD_OVER
  const atOnce = Math.max(FEWEST_AT_ONCE, Math.ceil((await estimateRows(tracking, replicable)) / spreadMinutes))
  return markOldest(tracking, replicable, intervalDays, atOnce)
}

async function estimateRows(db: Knex, { names }: Replicable): Promise<number> {
  const { rows } = await run<{ rows: { estimate: number }[] }>(
    db,
    'select reltuples as estimate from pg_class where oid = ?::regclass',
    [names.registryTable],
  )
  return rows[0]?.estimate ?? 0
}

// The limit is a value: of an expression the planner would expect a tenth of the table, and sort it.
async function markOldest(db: Knex, { names }: Replicable, intervalDays: number, limit: number): Promise<number> {
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `with due as materialized (
       select id from ??
       where state = ${SYNC_STATE.synced} and ${AGAIN.where} and removal_requested_at is null
         and verified_at < clock_timestamp() - ? * interval '1 day'
       order by verified_at limit ? for update skip locked
     )
     update ?? as r set ${AGAIN.set} from due where r.id = due.id and r.id = ${anyOf('due')}`,
    [names.registryTable, intervalDays, limit, names.registryTable],
  )
  return rowCount
}
