import type { Knex } from 'knex'
import { run } from '../databases.ts'
import { quoteTable } from '../verification/live-table.ts'
import { VERIFICATION_COLUMN_NAMES } from '../verification/state-definition.ts'

export interface ColumnFacts {
  readonly name: string
  /** As PostgreSQL writes it: `character varying(40)`. */
  readonly type: string
  readonly isNullable: boolean
  /** Whether an insert may leave it out. */
  readonly hasDefault: boolean
  readonly isKey: boolean
  /** The table whose key it holds, or null. */
  readonly refersTo: string | null
  /** The first value of an enum, or null. */
  readonly firstLabel: string | null
}

/** What a database says of a table of the host. */
export interface TableFacts {
  readonly columns: readonly ColumnFacts[]
  /** Of the primary key, where that is one column. */
  readonly key: ColumnFacts | null
  /** Those that may hold the key of a file. */
  readonly texts: readonly ColumnFacts[]
}

const TIMEOUT_MS = 10_000
const TEXT_TYPE = /^(text|citext|character varying(\(\d+\))?)$/

/** Null where there is no such table. The SDK's own columns are left out. */
export async function tableFacts(db: Knex, table: string): Promise<TableFacts | null> {
  const { rows } = await run<{ rows: ColumnFacts[] }>(
    db,
    `select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, not a.attnotnull as "isNullable",
       a.atthasdef or a.attidentity <> '' as "hasDefault", coalesce(a.attnum = any(i.indkey), false) as "isKey",
       (select f.confrelid::regclass::text from pg_constraint f
        where f.conrelid = a.attrelid and f.contype = 'f' and f.conkey = array[a.attnum] limit 1) as "refersTo",
       (select e.enumlabel from pg_enum e where e.enumtypid = a.atttypid order by e.enumsortorder limit 1) as "firstLabel"
     from pg_attribute a left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
     where a.attrelid = to_regclass(?) and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [quoteTable(table)],
    { timeoutMs: TIMEOUT_MS },
  )
  if (rows.length === 0) return null
  const columns = rows.filter(({ name }) => !VERIFICATION_COLUMN_NAMES.includes(name))
  const keys = columns.filter(({ isKey }) => isKey)
  const key = keys.length === 1 ? (keys[0] ?? null) : null
  return { columns, key, texts: columns.filter(({ type, isKey }) => TEXT_TYPE.test(type) && !isKey) }
}

/** The column that most likely holds the key of the file: the only text, or the only one that is called so. */
export function likelyBlobColumn({ texts }: TableFacts): string | undefined {
  const named = texts.filter(({ name }) => /path|key|file/i.test(name))
  const candidates = named.length > 0 ? named : texts
  return candidates.length === 1 ? candidates[0]?.name : undefined
}
