import type { Knex } from 'knex'
import { stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import { candidates } from './primary-state.ts'
import { VERIFICATION_STATE as V, VERIFICATION } from './verification-state.ts'

/** The statements that keep the primary's verification state in step with the host's rows and with time. */

/** Adds pending state rows for those keys of a page that have none. Only where the state is a table of its own. */
export async function insertMissingStates(db: Knex, replicable: Replicable, literal: string): Promise<number> {
  const { table, key } = stateTableOf(replicable)
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `insert into ?? (??) select id from unnest(?::${replicable.keyType}[]) as u(id)
     where not exists (select from ?? s where s.?? = u.id)
       and exists (select from ?? h where h.?? = u.id)
     on conflict (??) do nothing`,
    [table, key, literal, table, key, replicable.table, replicable.keyColumn, key],
  )
  return rowCount
}

/** Deletes state rows in the key range (after, upTo] whose keys are not on the page: their rows have no file any more. */
export async function deleteUnusedStates(
  db: Knex,
  replicable: Replicable,
  range: { after: string | null; upTo: string | null; literal: string },
  limit: number,
): Promise<number> {
  const { table, key } = stateTableOf(replicable)
  const type = replicable.keyType
  // A row may have come since the page was read; host and state are written in one transaction, so one statement sees both.
  const available = replicable.available(db(replicable.table)).select(db.raw('??', [replicable.keyColumn]))
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `delete from ?? where ?? in (
       select s.?? from ?? s left join unnest(?::${type}[]) as u(id) on u.id = s.??
       where u.id is null and (?::${type} is null or s.?? > ?::${type}) and (?::${type} is null or s.?? <= ?::${type})
         and not exists (select from (?) as available(id) where available.id = s.??)
       limit ?)`,
    [
      table,
      key,
      key,
      table,
      range.literal,
      key,
      range.after,
      key,
      range.after,
      range.upTo,
      key,
      range.upTo,
      available,
      key,
      limit,
    ],
  )
  return rowCount
}

/** Marks up to `limit` records to be hashed again whose last success is older than the interval, oldest first. */
export async function reverifyOldest(
  db: Knex,
  replicable: Replicable,
  intervalDays: number,
  limit: number,
): Promise<number> {
  const { table, key } = stateTableOf(replicable)
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `with due as materialized (
       select ?? as due_id from ??
       where verification_state = ${V.succeeded} and verified_at < clock_timestamp() - ? * interval '1 day'
       order by verified_at limit ? for update skip locked
     )
     update ?? set verification_state = ${V.pending} from due where ?? = due_id`,
    [key, table, intervalDays, limit, table, key],
  )
  return rowCount
}

const WOKEN = VERIFICATION.step('disabled', 'pending')
const LOOK_AGAIN_AFTER_S = 3600

/**
 * A record that had no file at the moment of its claim is disabled. Where it has one again and no event said so, it is looked
 * at once more, an hour after the claim at the earliest. Up to `limit` of them; returns how many.
 */
export async function wakeDisabled(db: Knex, replicable: Replicable, limit: number): Promise<number> {
  const { table, key } = stateTableOf(replicable)
  const condition = `${WOKEN.where} and coalesce(verification_started_at, '-infinity') < clock_timestamp() - interval '${LOOK_AGAIN_AFTER_S} s'`
  // In a table of its own, states of records without a file are deleted by the backfill.
  const due = candidates(db, replicable, condition)
    .select(db.raw('??', [key]))
    .limit(limit)
    .forUpdate()
    .skipLocked()
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `with due as materialized (?) update ?? as s set ${WOKEN.set} from due where s.?? = due.??`,
    [due, table, key, key],
  )
  return rowCount
}
