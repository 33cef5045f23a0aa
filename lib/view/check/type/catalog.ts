import type { Knex } from 'knex'
import { run } from '../../../databases.ts'
import { quoteTable } from '../../../verification/live-table.ts'

/** What PostgreSQL's catalog says of one table. */

export interface CatalogColumn {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
}

export interface CatalogIndex {
  readonly name: string
  readonly valid: boolean
  readonly unique: boolean
}

export interface CatalogConstraint {
  readonly name: string
  readonly kind: 'check' | 'foreign key'
  readonly valid: boolean
  readonly definition: string
  /** Of a foreign key: whether it leads to the column of the table that was asked for, and takes the row with it. */
  readonly leadsThere: boolean
  readonly cascades: boolean
}

export async function tableExists(db: Knex, table: string): Promise<boolean> {
  const { rows } = await run<{ rows: { there: boolean }[] }>(db, 'select to_regclass(?) is not null as there', [
    quoteTable(table),
  ])
  return rows[0]?.there ?? false
}

/** Names of types as PostgreSQL spells them: `timestamp with time zone`. */
export async function columnsOf(db: Knex, table: string): Promise<CatalogColumn[]> {
  const { rows } = await run<{ rows: CatalogColumn[] }>(
    db,
    `select attname as name, format_type(atttypid, atttypmod) as type, attnotnull as "notNull"
     from pg_attribute where attrelid = ?::regclass and attnum > 0 and not attisdropped order by attnum`,
    [quoteTable(table)],
  )
  return rows
}

export async function indexesOf(db: Knex, table: string): Promise<CatalogIndex[]> {
  const { rows } = await run<{ rows: CatalogIndex[] }>(
    db,
    `select c.relname as name, i.indisvalid and i.indisready as valid, i.indisunique as unique
     from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = ?::regclass`,
    [quoteTable(table)],
  )
  return rows
}

/** `target`: where a foreign key is to lead. */
export async function constraintsOf(
  db: Knex,
  table: string,
  target: { readonly table: string; readonly column: string },
): Promise<CatalogConstraint[]> {
  const { rows } = await run<{ rows: CatalogConstraint[] }>(
    db,
    `select conname as name, case contype when 'c' then 'check' else 'foreign key' end as kind, convalidated as valid,
       pg_get_constraintdef(k.oid) as definition, confdeltype = 'c' as cascades,
       coalesce(confrelid = ?::regclass and (select attname from pg_attribute
         where attrelid = confrelid and attnum = confkey[1]) = ?, false) as "leadsThere"
     from pg_constraint k where conrelid = ?::regclass and contype in ('c', 'f')`,
    [quoteTable(target.table), target.column, quoteTable(table)],
  )
  return rows
}

/** Of `name type …`, as our own definitions are written. */
export function columnIn(definition: string): CatalogColumn {
  const [, name = '', type = ''] = /^(\S+) (\S+)/.exec(definition) ?? []
  return {
    name,
    type: FULL_NAMES[type] ?? type.replace(/^varchar\b/, 'character varying'),
    notNull: /not null/.test(definition),
  }
}

const FULL_NAMES: Readonly<Record<string, string>> = Object.freeze({ timestamptz: 'timestamp with time zone' })
