import type { Knex } from 'knex'
import { CORRUPT_PREFIX, stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { bounded, run } from '../databases.ts'
import { VERIFICATION_STATE as V } from './verification-state.ts'

/** How many rows of a type the primary has; all null while the type is off (GB.N.2). */
export interface PrimaryCounts {
  /** Rows with a file: `available`. All of them are to be checksummed, so they are the total of the other two as well. */
  readonly total: number | null
  readonly checksummed: number | null
  readonly checksumFailed: number | null
  /** Those of the failed whose bytes differ from the recorded checksum. */
  readonly corrupt: number | null
}

type Counted = { -readonly [Name in keyof PrimaryCounts]: number }

const NOT_COUNTED: PrimaryCounts = Object.freeze({
  total: null,
  checksummed: null,
  checksumFailed: null,
  corrupt: null,
})

const ROWS_PER_PAGE = 50_000

/** Counts page by page in key order, so that no statement is long on a large table. No request may count rows. */
export async function countPrimary(
  main: Knex,
  replicable: Replicable,
  { enabled, rowsPerPage = ROWS_PER_PAGE }: { enabled: boolean; rowsPerPage?: number },
): Promise<PrimaryCounts> {
  if (!enabled) return NOT_COUNTED
  const sum: Counted = { total: 0, checksummed: 0, checksumFailed: 0, corrupt: 0 }
  for (let after: string | null = null; ; ) {
    const page: Counted & { last: string | null } = await countPage(main, replicable, after, rowsPerPage)
    for (const name of Object.keys(sum) as (keyof Counted)[]) sum[name] += page[name]
    if (page.last === null) return Object.freeze(sum)
    after = page.last
  }
}

async function countPage(
  main: Knex,
  replicable: Replicable,
  after: string | null,
  limit: number,
): Promise<Counted & { last: string | null }> {
  const { table, key } = stateTableOf(replicable)
  return bounded(main, async (trx) => {
    const keys = wantedRows(trx, replicable, null).select(trx.raw('?? as id', [replicable.keyColumn]))
    if (after !== null) keys.whereRaw(`?? > ?::${replicable.keyType}`, [replicable.keyColumn, after])
    keys.orderBy(replicable.keyColumn).limit(limit)
    const { rows } = await run<{ rows: (Counted & { last: string | null })[] }>(
      trx,
      `select count(*)::int as "total", (count(*) filter (where state = ${V.succeeded}))::int as "checksummed",
         (count(*) filter (where state = ${V.failed}))::int as "checksumFailed",
         (count(*) filter (where state = ${V.failed} and failure like '${CORRUPT_PREFIX}%'))::int as "corrupt",
         (array_agg(id order by id desc))[1]::text as last
       from (select page.id, s.verification_state as state, s.verification_failure as failure
             from (?) as page left join ?? s on s.?? = page.id) as counted`,
      [keys, table, key],
    )
    const [page] = rows
    if (!page) throw new Error(`${replicable.table} could not be counted`)
    return page
  })
}
