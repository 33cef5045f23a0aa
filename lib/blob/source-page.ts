import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { judgingChecksum, stateTableOf } from './primary-checksum.ts'
import type { Replicable } from './replicable.ts'
import { wantedRows } from './scope.ts'
import type { SelectiveSync } from './selective-sync.ts'

/** Keys in (after, upTo]; a null bound is open. */
export interface KeyRange {
  readonly after: string | null
  readonly upTo: string | null
}

/** Rows as a secondary compares them with its registry: three arrays, element by element of one row, never parsed here. */
export interface SourcePage {
  /** `{1,2,3}`: parsing ten thousand keys would hold up the host. */
  readonly keys: string
  /** The version of each row: another whenever the row has changed. */
  readonly versions: string
  /** The checksum that copies are judged by; null while the primary has none. */
  readonly checksums: string
}

/** How many rows there are in a range, and one number of their keys, versions and checksums. */
export interface Summary {
  readonly count: number
  readonly hash: string | null
}

/**
 * The number of a row in a summary. Two servers of different versions might hash otherwise; then nothing ever agrees, and every
 * page is compared row by row.
 */
export function rowHash(key: string, version: string, checksum: string): string {
  return `hash_record_extended(row(${key}, ${version}, ${checksum}), 0)`
}

/** The key at which a page of `limit` rows that this site holds files of ends; null where fewer are left. */
export function endOfPage(
  db: Knex,
  replicable: Replicable,
  after: string | null,
  limit: number,
  selection: SelectiveSync | null,
): Promise<string | null> {
  return bounded(db, async (trx) => {
    const { keyColumn } = replicable
    const rows = within(wantedRows(trx, replicable, selection), replicable, keyColumn, { after, upTo: null })
    const last = rows
      .select(trx.raw('?? as key', [keyColumn]))
      .orderBy(keyColumn)
      .offset(limit - 1)
      .limit(1)
    return textOfKey(trx, last)
  })
}

/** As text once it is found: a column that is written out is written out for all rows before it as well. */
export async function textOfKey(trx: Knex.Transaction, row: Knex.QueryBuilder): Promise<string | null> {
  const { rows } = await run<{ rows: { key: string }[] }>(trx, 'select key::text from (?) as found', [row])
  return rows[0]?.key ?? null
}

export function summaryOfSource(
  db: Knex,
  replicable: Replicable,
  range: KeyRange,
  selection: SelectiveSync | null,
): Promise<Summary> {
  return bounded(db, async (trx) => {
    const { rows } = await run<{ rows: Summary[] }>(
      trx,
      `select count(*)::int as count, bit_xor(${rowHash(`p.id::${replicable.keyType}`, 'p.version', 'p.checksum')})::text as hash
       from (?) as p`,
      [comparedRows(trx, replicable, range, selection)],
    )
    return rows[0] ?? { count: 0, hash: null }
  })
}

export function pageOfSource(
  db: Knex,
  replicable: Replicable,
  range: KeyRange,
  selection: SelectiveSync | null,
): Promise<SourcePage> {
  return bounded(db, async (trx) => {
    const { rows } = await run<{ rows: SourcePage[] }>(
      trx,
      `select array_agg(id)::text as keys, array_agg(version)::text as versions, array_agg(checksum)::text as checksums
       from (?) as p having count(*) > 0`,
      [comparedRows(trx, replicable, range, selection)],
    )
    return rows[0] ?? { keys: '{}', versions: '{}', checksums: '{}' }
  })
}

/** The rows of a range with their versions and checksums. Both tables are bounded, or the planner might read one of them whole. */
function comparedRows(
  trx: Knex,
  replicable: Replicable,
  range: KeyRange,
  selection: SelectiveSync | null,
): Knex.QueryBuilder {
  const { keyColumn, verificationState } = replicable
  const rows = within(wantedRows(trx, replicable, selection), replicable, keyColumn, range)
  const columns = trx.raw('?? as id, geo_row_version as version', [keyColumn])
  if (verificationState === 'columns') {
    return rows.select(columns, trx.raw(`${judgingChecksum(replicable, 'wanted')} as checksum`))
  }
  const { table, key } = stateTableOf(replicable)
  const states = within(trx(table), replicable, key, range).as('s')
  return trx
    .select('w.id', 'w.version', trx.raw(`${judgingChecksum(replicable, 's')} as checksum`))
    .from(rows.select(columns).as('w'))
    .leftJoin(states, `s.${key}`, 'w.id')
}

function within(
  query: Knex.QueryBuilder,
  { keyType }: Replicable,
  column: string,
  { after, upTo }: KeyRange,
): Knex.QueryBuilder {
  if (after !== null) query.whereRaw(`?? > ?::${keyType}`, [column, after])
  if (upTo !== null) query.whereRaw(`?? <= ?::${keyType}`, [column, upTo])
  return query
}
