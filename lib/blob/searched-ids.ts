import type { Knex } from 'knex'
import { bounded } from '../databases.ts'
import { GeoError, messageOf } from '../errors.ts'
import type { Replicable } from './replicable.ts'

/**
 * Keys of the rows that the host's `search` finds, at most `limit`. The host's conditions stay in a subquery of their own.
 * @throws GeoError `SEARCH_FAILED` where the host's `search` throws or returns no query
 */
export async function searchedIds(db: Knex, replicable: Replicable, keyword: string, limit: number): Promise<string[]> {
  return bounded(db, async (trx) => {
    const found = searched(replicable, trx(replicable.table), keyword)
      .select(trx.raw('??.?? as id', [replicable.table, replicable.keyColumn]))
      .limit(limit)
    const rows: { id: string }[] = await trx.from(found.as('found')).select(trx.raw('id::text as id'))
    return rows.map(({ id }) => id)
  })
}

function searched(replicable: Replicable, query: Knex.QueryBuilder, keyword: string): Knex.QueryBuilder {
  const { name, search } = replicable
  try {
    const found = search?.(query, keyword)
    if (typeof (found as Knex.QueryBuilder | undefined)?.whereRaw === 'function') return found as Knex.QueryBuilder
  } catch (reason) {
    throw new GeoError('SEARCH_FAILED', `The search of ${name} failed: ${messageOf(reason)}`, { cause: reason })
  }
  throw new GeoError('SEARCH_FAILED', `The search of ${name} returned no query`)
}
