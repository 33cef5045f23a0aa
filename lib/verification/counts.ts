import type { Knex } from 'knex'
import { CORRUPT_PREFIX } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { textOfKey } from '../blob/source-page.ts'
import { walkBlocks } from '../block-walk.ts'
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

/** For specs: pages smaller than the defaults. */
interface Pages {
  readonly rowsPerPage?: number
  readonly blocksPerPage?: number
}

/** Counts page by page, so that no statement is long on a large table. No request may count rows. */
export async function countPrimary(
  main: Knex,
  replicable: Replicable,
  { enabled, ...pages }: { enabled: boolean } & Pages,
): Promise<PrimaryCounts> {
  if (!enabled) return NOT_COUNTED
  const sum: Counted = { total: 0, checksummed: 0, checksumFailed: 0, corrupt: 0 }
  const add = (page: Counted) => {
    for (const name of Object.keys(sum) as (keyof Counted)[]) sum[name] += page[name]
  }
  if (replicable.verificationState === 'columns') await countColumns(main, replicable, pages, add)
  else await countSeparate(main, replicable, pages, add)
  return Object.freeze(sum)
}

const COUNTS = `count(*)::int as "total", (count(*) filter (where state = ${V.succeeded}))::int as "checksummed",
  (count(*) filter (where state = ${V.failed}))::int as "checksumFailed",
  (count(*) filter (where state = ${V.failed} and failure like '${CORRUPT_PREFIX}%'))::int as "corrupt"`

type Add = (page: Counted) => void

/** The state is in the host's row: each block is read once. */
async function countColumns(main: Knex, replicable: Replicable, pages: Pages, add: Add): Promise<void> {
  const { table } = replicable
  await walkBlocks(
    main,
    table,
    async (trx, range) => {
      const rows = replicable
        .available(trx(table))
        .select(
          trx.raw('??.ctid as address, ??.verification_state as state, ??.verification_failure as failure', [
            table,
            table,
            table,
          ]),
        )
      const sql = `select ${COUNTS} from (?) as wanted where address >= ?::tid and address < ?::tid`
      add(oneOf(await run<{ rows: Counted[] }>(trx, sql, [rows, ...range]), table))
    },
    pages,
  )
}

const ROWS_PER_PAGE = 50_000

/**
 * The state is in a table beside: both are read in key order, each page between two known keys. Without them PostgreSQL reads
 * all states for every page.
 */
async function countSeparate(
  main: Knex,
  replicable: Replicable,
  { rowsPerPage = ROWS_PER_PAGE }: Pages,
  add: Add,
): Promise<void> {
  const { table, keyColumn, keyType, names } = replicable
  for (let after: string | null = null, more = true; more; ) {
    const from: string | null = after
    const to: string | null = await bounded(main, async (trx) => {
      const last = await keyAfter(trx, replicable, from, rowsPerPage)
      const between = (query: Knex.QueryBuilder, key: string) => {
        if (from !== null) query.whereRaw(`?? > ?::${keyType}`, [key, from])
        if (last !== null) query.whereRaw(`?? <= ?::${keyType}`, [key, last])
        return query
      }
      const wanted = between(wantedRows(trx, replicable, null).select(trx.raw('?? as id', [keyColumn])), keyColumn)
      const states = between(trx(names.stateTable), names.foreignKey).select(
        trx.raw('?? as id, verification_state as state, verification_failure as failure', [names.foreignKey]),
      )
      const sql = `select ${COUNTS} from (?) as wanted left join (?) as states on states.id = wanted.id`
      add(oneOf(await run<{ rows: Counted[] }>(trx, sql, [wanted, states]), table))
      return last
    })
    after = to
    more = to !== null
  }
}

/** The key so many rows after another one, whether those have a file or not; null where there are fewer. */
async function keyAfter(
  trx: Knex.Transaction,
  { table, keyColumn, keyType }: Replicable,
  after: string | null,
  rows: number,
): Promise<string | null> {
  const query = trx(table)
    .select(trx.raw('?? as key', [keyColumn]))
    .orderBy(keyColumn)
    .offset(rows - 1)
    .limit(1)
  if (after !== null) query.whereRaw(`?? > ?::${keyType}`, [keyColumn, after])
  return textOfKey(trx, query)
}

function oneOf({ rows }: { rows: Counted[] }, table: string): Counted {
  const [row] = rows
  if (!row) throw new Error(`${table} could not be counted`)
  return row
}
