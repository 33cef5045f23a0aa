import type { Knex } from 'knex'
import { stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { anyOf, run } from '../databases.ts'
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
    // Of each key it is asked by itself: of an estimate of how many there are, the planner might take all of the host's table.
    `delete from ?? where ?? = any(array(
       select u.id from (
         select s.?? as id from ?? s where (?::${type} is null or s.?? > ?::${type}) and (?::${type} is null or s.?? <= ?::${type})
         except select unnest(?::${type}[])) as u
       where not exists (select from (?) as available(id) where available.id = u.id offset 0)
       limit ?))`,
    [
      table,
      key,
      key,
      table,
      range.after,
      key,
      range.after,
      range.upTo,
      key,
      range.upTo,
      range.literal,
      available,
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
     update ?? set verification_state = ${V.pending} from due where ?? = due_id and ?? = ${anyOf('due', 'due_id')}`,
    [key, table, intervalDays, limit, table, key, key],
  )
  return rowCount
}

const WOKEN = VERIFICATION.step('disabled', 'pending')
const LOOK_AGAIN_AFTER_S = 3600
const DISABLED = `${WOKEN.where} and coalesce(verification_started_at, '-infinity') < clock_timestamp() - interval '${LOOK_AGAIN_AFTER_S} s'`

/**
 * A record that had no file at the moment of its claim is disabled. Where it has one again and no event said so, it is looked
 * at once more, an hour after the claim at the earliest. Up to `limit` of them; returns how many. Only where the state is a table
 * of its own: there the backfill deletes those of records without a file, so that there are few.
 */
export async function wakeDisabled(db: Knex, replicable: Replicable, limit: number): Promise<number> {
  const { table, key } = stateTableOf(replicable)
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `with due as materialized (select ?? as due_id from ?? where ${DISABLED} limit ? for update skip locked)
     update ?? set ${WOKEN.set} from due where ?? = due_id and ?? = ${anyOf('due', 'due_id')}`,
    [key, table, limit, table, key, key],
  )
  return rowCount
}

/** One page of keys of the host's table. */
export interface WokenPage {
  /** Of the page, the highest key; null where there is no further page. */
  readonly next: string | null
  readonly woken: number
}

/** The same on one page of the host's table, for a state in columns of it: most of its rows may have no file, and are disabled. */
export async function wakeDisabledOnPage(
  db: Knex,
  replicable: Replicable,
  after: string | null,
  keys: number,
): Promise<WokenPage> {
  const { table, key } = stateTableOf(replicable)
  const { keyType } = replicable
  const available = wantedRows(db, replicable, null).select(db.raw('1')).whereRaw('wanted.?? = s.??', [key, key])
  const { rows } = await run<{ rows: { last: string | null; count: number; woken: number }[] }>(
    db,
    // Of each disabled row it is asked by its key: the planner could take the whole table for a page of it.
    `with page as materialized (
       select ?? as key, ${DISABLED} as disabled from ?? where ?::${keyType} is null or ?? > ?::${keyType}
       order by ?? limit ?
     ), due as materialized (
       select s.?? as key from page join ?? as s on s.?? = page.key where page.disabled and ${DISABLED} and exists (? offset 0)
       for update of s skip locked
     ), woken as (
       update ?? as s set ${WOKEN.set} from due where s.?? = due.key and s.?? = ${anyOf('due', 'key')} returning 1
     )
     select (select page.key::text from page order by page.key desc limit 1) as last,
       (select count(*)::int from page) as count, (select count(*)::int from woken) as woken`,
    [key, table, after, key, after, key, keys, key, table, key, available, table, key, key],
  )
  const [page] = rows
  if (!page) throw new Error('A page returned no row')
  return { next: page.count < keys ? null : page.last, woken: page.woken }
}
