import type { Knex } from 'knex'
import { arrayLiteral } from '../array-literal.ts'
import { bounded, run } from '../databases.ts'
import { keyOfRow, type RowKey } from './key-of-row.ts'
import type { Replicable } from './replicable.ts'
import { wantedRows } from './scope.ts'
import type { SelectiveSync } from './selective-sync.ts'

/** The host's table as the SDK reads it: by key or by page, never whole. */

function arrayType(replicable: Replicable): string {
  return `${replicable.keyType}[]`
}

function withIds(query: Knex.QueryBuilder, replicable: Replicable, ids: readonly string[]): Knex.QueryBuilder {
  return query.whereRaw(`?? = any(?::${arrayType(replicable)})`, [replicable.keyColumn, arrayLiteral(ids)])
}

/** Those of the given records that are wanted, as a query that nothing is selected of yet. */
export function wantedAmong(
  db: Knex,
  replicable: Replicable,
  ids: readonly string[],
  selection: SelectiveSync | null,
): Knex.QueryBuilder {
  return withIds(wantedRows(db, replicable, selection), replicable, ids)
}

async function pluckIds(query: Knex.QueryBuilder, db: Knex, replicable: Replicable): Promise<string[]> {
  const rows: { id: string }[] = await query.select(db.raw('??::text as id', [replicable.keyColumn]))
  return rows.map((row) => row.id)
}

/** Those of the given records that exist, have a file as far as `available` says, and are in scope of what is selected. */
export function wantedIds(
  db: Knex,
  replicable: Replicable,
  ids: readonly string[],
  selection: SelectiveSync | null,
): Promise<string[]> {
  return bounded(db, (trx) => wantedIdsWithin(trx, replicable, ids, selection))
}

/** The same in a transaction that is open already. */
export function wantedIdsWithin(
  trx: Knex.Transaction,
  replicable: Replicable,
  ids: readonly string[],
  selection: SelectiveSync | null,
): Promise<string[]> {
  return pluckIds(wantedAmong(trx, replicable, ids, selection), trx, replicable)
}

/** Those of the given records that exist at all. */
export function existingIds(db: Knex, replicable: Replicable, ids: readonly string[]): Promise<string[]> {
  return bounded(db, (trx) => pluckIds(withIds(trx(replicable.table), replicable, ids), trx, replicable))
}

/** A record as this site's copy of the main database has it. */
export type SourceRecord = RowKey & {
  readonly id: string
  /** Has a file as far as `available` says, and is in scope of what is selected. */
  readonly wanted: boolean
  /** Another whenever the row has changed. */
  readonly version: string
}

type LoadedRow = { geo_record_id: string; geo_row_version: string; geo_wanted: boolean }

/** The given records that exist, by id. Only a secondary passes a selection. */
export async function loadSource(
  db: Knex,
  replicable: Replicable,
  ids: readonly string[],
  selection: SelectiveSync | null = null,
): Promise<Map<string, SourceRecord>> {
  return bounded(db, async (trx) => {
    const rows: LoadedRow[] = await withIds(trx(replicable.table), replicable, ids).select(
      '*',
      trx.raw('??::text as geo_record_id, xmin::text as geo_row_version, ?? in (?) as geo_wanted', [
        replicable.keyColumn,
        replicable.keyColumn,
        wantedAmong(trx, replicable, ids, selection).select(replicable.keyColumn),
      ]),
    )
    return new Map(
      rows.map(({ geo_record_id: id, geo_row_version: version, geo_wanted: wanted, ...row }) => [
        id,
        { id, ...keyOfRow(replicable, row, id), wanted, version },
      ]),
    )
  })
}

/** One page of the keys of available rows, as a literal that goes to the other database as it is. */
export interface KeyPage {
  /** `{1,2,3}`: never parsed here, for ten thousand keys would hold up the host. */
  readonly literal: string
  readonly count: number
  /** The highest key of the page; null on an empty page. */
  readonly last: string | null
}

/** The next `limit` keys after `after` in key order. Only a secondary passes a selection. */
export async function pageOfKeys(
  db: Knex,
  replicable: Replicable,
  after: string | null,
  limit: number,
  selection: SelectiveSync | null = null,
): Promise<KeyPage> {
  return bounded(db, async (trx) => {
    const keys = wantedRows(trx, replicable, selection).select(trx.raw('?? as id', [replicable.keyColumn]))
    if (after !== null) keys.whereRaw(`?? > ?::${replicable.keyType}`, [replicable.keyColumn, after])
    keys.orderBy(replicable.keyColumn).limit(limit)
    const { rows } = await run<{ rows: KeyPage[] }>(
      trx,
      `select coalesce(array_agg(id order by id)::text, '{}') as literal, count(*)::int as count,
              (array_agg(id order by id desc))[1]::text as last
       from (?) as page`,
      [keys],
    )
    return rows[0] ?? { literal: '{}', count: 0, last: null }
  })
}
