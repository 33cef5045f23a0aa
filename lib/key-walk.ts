import type { Knex } from 'knex'
import type { KeyType } from './blob/replicable.ts'
import { run } from './databases.ts'

/** A condition in SQL with its bound values. */
export interface Condition {
  readonly sql: string
  readonly bindings: readonly Knex.RawBinding[]
}

/** Rows of a table that are walked in key order, and what is done to those that fulfil a condition. */
export interface KeyWalk {
  readonly table: string
  readonly key: string
  readonly keyType: KeyType
  /** The rows that are walked. What is added to the query must narrow it, so an `or` of the host's has to be closed off. */
  rows(db: Knex): Knex.QueryBuilder
  /** Which of the walked rows are changed. Columns are named without their table. */
  readonly wanted: Condition
  /** The assignments of the update. */
  readonly changes: string
}

export interface WalkedPage {
  /** The last key that was looked at; null where there was none. */
  readonly last: string | null
  readonly examined: number
  /** How many rows were changed; in a dry run, how many would have been. */
  readonly changed: number
  /** Keys of rows that another transaction had locked: nothing was done to them. */
  readonly busy: readonly string[]
}

/** The lowest and the highest key of the table now; null where it is empty. */
export async function keyBounds(
  db: Knex,
  { table, key }: Pick<KeyWalk, 'table' | 'key'>,
): Promise<{ first: string | null; last: string | null }> {
  // Not min and max: those know no uuid before PostgreSQL 18. And under another name, or they would sort as texts.
  const { rows } = await run<{ rows: { first: string | null; last: string | null }[] }>(
    db,
    `select (select ??::text as bound from ?? order by ?? limit 1) as first,
       (select ??::text as bound from ?? order by ?? desc limit 1) as last`,
    [key, table, key, key, table, key],
  )
  return rows[0] ?? { first: null, last: null }
}

/** Walks the next `limit` rows with keys in (after, upTo]. */
export function walkRange(
  trx: Knex.Transaction,
  walk: KeyWalk,
  range: { after: string | null; upTo: string; limit: number },
  dryRun: boolean,
): Promise<WalkedPage> {
  const query = walk
    .rows(trx)
    .whereRaw(`?? <= ?::${walk.keyType}`, [walk.key, range.upTo])
    .orderBy(walk.key)
    .limit(range.limit)
  if (range.after !== null) query.whereRaw(`?? > ?::${walk.keyType}`, [walk.key, range.after])
  return walkRows(trx, walk, query, dryRun)
}

/** Walks rows by their keys: those that were busy before. */
export function walkKeys(
  trx: Knex.Transaction,
  walk: KeyWalk,
  keys: readonly string[],
  dryRun: boolean,
): Promise<WalkedPage> {
  const query = walk.rows(trx).whereRaw(`?? = any(?::${walk.keyType}[])`, [walk.key, [...keys]])
  return walkRows(trx, walk, query, dryRun)
}

/**
 * One statement. It waits for no lock, so it can neither be held up nor be part of a deadlock; a row that changed after it
 * was looked at is judged again as it is once it is locked.
 */
async function walkRows(
  trx: Knex.Transaction,
  { table, key, wanted, changes }: KeyWalk,
  query: Knex.QueryBuilder,
  dryRun: boolean,
): Promise<WalkedPage> {
  const page = query.select(trx.raw('?? as id', [key]), trx.raw(`(${wanted.sql}) as wanted`, [...wanted.bindings]))
  const summary = `(array_agg(id order by id desc))[1]::text as last, count(*)::int as examined`
  if (dryRun) {
    const { rows } = await run<{ rows: Omit<WalkedPage, 'busy'>[] }>(
      trx,
      `select ${summary}, (count(*) filter (where wanted))::int as changed from (?) as page`,
      [page],
    )
    return { ...(rows[0] ?? NOTHING), busy: [] }
  }
  // Arrays, for the planner then goes by the index whatever it thinks of the size of a page.
  const { rows } = await run<{ rows: WalkedPage[] }>(
    trx,
    `with page as materialized (?),
     locked as materialized (
       select ?? as id from ?? where ?? = any(array(select id from page where wanted)) and (${wanted.sql})
       for update skip locked
     ), changed as (
       update ?? set ${changes} where ?? = any(array(select id from locked)) returning 1
     )
     select ${summary}, (select count(*)::int from changed) as changed,
       array(select id::text from page where wanted except select id::text from locked) as busy
     from page`,
    [page, key, table, key, ...wanted.bindings, table, key],
  )
  return rows[0] ?? NOTHING
}

const NOTHING: WalkedPage = Object.freeze({ last: null, examined: 0, changed: 0, busy: [] })
