import type { Knex } from 'knex'
import type { bounded } from '../../lib/databases.ts'

/** Fills a table whose statistics are those of when it was empty, and stay so: the planner takes it for one row. */
export async function fillBehindStatistics(db: Knex, table: string, insert: string): Promise<void> {
  await db.raw(insert)
  await db(table).delete()
  await db.raw(`alter table ${table} set (autovacuum_enabled = false)`)
  await db.raw(`analyze ${table}`)
  await db.raw(insert)
}

export interface Batch {
  readonly table: string
  readonly key: string
  readonly ids: readonly string[]
  /** How the rows are before, as assignments. */
  readonly before: string
}

class RolledBack extends Error {}

/** Whether `act` changes the rows of a batch, in a transaction that is begun as it would be, and rolled back. */
export async function changesBatch(
  db: Knex,
  begin: typeof bounded,
  { table, key, ids, before }: Batch,
  act: (trx: Knex.Transaction) => Promise<unknown>,
): Promise<boolean> {
  const sums = new Set<string>()
  const work = async (trx: Knex.Transaction): Promise<void> => {
    const note = async () => {
      const sum = `select md5(string_agg(t::text, null order by ${key})) as sum from ${table} t where ${key} = any(?)`
      sums.add((await trx.raw(sum, [[...ids]])).rows[0].sum)
    }
    await trx.raw(`update ${table} set ${before} where ${key} = any(?)`, [[...ids]])
    await note()
    await act(trx)
    await note()
    throw new RolledBack()
  }
  await begin(db, work).catch((reason: unknown) => {
    if (!(reason instanceof RolledBack)) throw reason
  })
  return sums.size === 2
}
