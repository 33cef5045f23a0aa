import type { Knex } from 'knex'

/** `name type [not null] [default …]` of each column of a table, in order. */
export async function columnsOf(db: Knex, table: string): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { column: string }[] }>(
    `select concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
       'default ' || pg_get_expr(d.adbin, d.adrelid)) as column
     from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = ?::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [table],
  )
  return rows.map((row) => row.column)
}

/** Of each index that is no constraint's: what it is on, by name. Marked where it is unique or invalid. */
export async function indexesOf(db: Knex, table: string): Promise<Record<string, string>> {
  const { rows } = await db.raw<{ rows: { name: string; definition: string }[] }>(
    `select c.relname as name, concat(case when indisunique then 'unique ' end, case when not indisvalid then 'invalid ' end,
       split_part(pg_get_indexdef(indexrelid), ' USING ', 2)) as definition
     from pg_index join pg_class c on c.oid = indexrelid
     where indrelid = ?::regclass and not indisprimary order by 1`,
    [table],
  )
  return Object.fromEntries(rows.map((row) => [row.name, row.definition]))
}

/** Of each constraint other than not null: its definition, by name. */
export async function constraintsOf(db: Knex, table: string): Promise<Record<string, string>> {
  const { rows } = await db.raw<{ rows: { name: string; definition: string }[] }>(
    `select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
     where conrelid = ?::regclass and contype <> 'n' order by 1`,
    [table],
  )
  return Object.fromEntries(rows.map((row) => [row.name, row.definition]))
}
