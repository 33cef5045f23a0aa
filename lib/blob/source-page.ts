import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { judgingChecksum, stateTableOf } from './primary-checksum.ts'
import type { Replicable } from './replicable.ts'
import { wantedRows } from './scope.ts'
import type { SelectiveSync } from './selective-sync.ts'
import type { KeyPage } from './source.ts'

/** A page of rows as a secondary compares them with its registry: three arrays, element by element of one row. */
export interface SourcePage extends KeyPage {
  /** The version of each row: another whenever the row has changed. A literal as well. */
  readonly versions: string
  /** The checksum that copies are judged by; null while the primary has none. A literal as well. */
  readonly checksums: string
}

const EMPTY: SourcePage = Object.freeze({ literal: '{}', versions: '{}', checksums: '{}', count: 0, last: null })

/** The next `limit` rows that this site holds files of, after the key `after`, in key order. */
export async function pageOfSource(
  db: Knex,
  replicable: Replicable,
  after: string | null,
  limit: number,
  selection: SelectiveSync | null,
): Promise<SourcePage> {
  return bounded(db, async (trx) => {
    const { keyColumn, keyType, verificationState } = replicable
    const inTable = verificationState === 'columns'
    const rows = wantedRows(trx, replicable, selection).select(
      trx.raw('?? as id, geo_row_version as version', [keyColumn]),
    )
    if (inTable) rows.select('verification_state', 'verification_checksum')
    if (after !== null) rows.whereRaw(`?? > ?::${keyType}`, [keyColumn, after])
    rows.orderBy(keyColumn).limit(limit)
    const state = stateTableOf(replicable)
    const { rows: pages } = await run<{ rows: SourcePage[] }>(
      trx,
      `select array_agg(id)::text as literal, array_agg(version)::text as versions, array_agg(checksum)::text as checksums,
         count(*)::int as count, (array_agg(id))[count(*)]::text as last
       from (
         select p.id, p.version, ${judgingChecksum(replicable, inTable ? 'p' : 's')} as checksum
         from (?) as p ${inTable ? '' : 'left join ?? as s on s.?? = p.id'} order by p.id
       ) as page having count(*) > 0`,
      [rows, ...(inTable ? [] : [state.table, state.key])],
    )
    return pages[0] ?? EMPTY
  })
}
