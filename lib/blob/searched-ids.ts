import type { Knex } from 'knex'
import { bounded } from '../databases.ts'
import { hostQuery } from './host-query.ts'
import type { Replicable } from './replicable.ts'

/**
 * Keys of the rows that the host's `search` finds, at most `limit`. The host's conditions stay in a subquery of their own.
 * @throws GeoError `SEARCH_FAILED` where the host's `search` throws or returns no query
 */
export async function searchedIds(db: Knex, replicable: Replicable, keyword: string, limit: number): Promise<string[]> {
  return bounded(db, async (trx) => {
    const { name, table, keyColumn, search } = replicable
    const found = hostQuery(() => search?.(trx(table), keyword), {
      code: 'SEARCH_FAILED',
      what: `The search of ${name}`,
    })
      .select(trx.raw('??.?? as id', [table, keyColumn]))
      .limit(limit)
    const rows: { id: string }[] = await trx.from(found.as('found')).select(trx.raw('id::text as id'))
    return rows.map(({ id }) => id)
  })
}
