import type { Knex } from 'knex'

/** What a row of a table takes on the disk, with each of its indexes. */
export type RowBytes = {
  readonly table: number
  readonly indexes: number
  readonly byIndex: { readonly [name: string]: number }
}

export async function rowBytes(db: Knex, table: string): Promise<RowBytes> {
  const { rows } = await db.raw<{ rows: { table: number; byIndex: Record<string, number> }[] }>(
    `with counted as (select greatest(1, count(*)) as n from ??)
     select round(pg_table_size(?::regclass)::numeric / n, 1)::float8 as "table",
       (select json_object_agg(i.indexrelid::regclass, round(pg_relation_size(i.indexrelid)::numeric / n, 1))
        from pg_index i where i.indrelid = ?::regclass) as "byIndex"
     from counted`,
    [table, table, table],
  )
  const [found] = rows
  if (!found) throw new Error(`${table} has no size`)
  const indexes = Object.values(found.byIndex).reduce((sum, bytes) => sum + bytes, 0)
  return { ...found, indexes: Number(indexes.toFixed(1)) }
}
