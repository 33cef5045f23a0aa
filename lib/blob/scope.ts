import type { Knex } from 'knex'
import { GeoError } from '../errors.ts'
import { hostQuery } from './host-query.ts'
import type { Replicable } from './replicable.ts'
import type { SelectiveSync } from './selective-sync.ts'

/** Why the scope of a type cannot be asked now, or null. Its work pauses meanwhile, and nothing is removed. */
export function scopeProblem(replicable: Replicable, db: Knex, selection: SelectiveSync | null): GeoError | null {
  try {
    inScope(replicable, db(replicable.table), selection)
    return null
  } catch (reason) {
    if (reason instanceof GeoError) return reason
    throw reason
  }
}

/**
 * The rows that a site holds files of: those with a file and, where something is selected, in scope. The host's conditions are
 * closed off in a subquery, so that an `or` among them cannot let in rows that what is added later leaves out. The column
 * `geo_row_version` is another whenever the row has changed.
 * @throws GeoError `SCOPE_FAILED` where the host's `scope` throws or returns no query
 */
export function wantedRows(db: Knex, replicable: Replicable, selection: SelectiveSync | null): Knex.QueryBuilder {
  const { table } = replicable
  const wanted = inScope(replicable, replicable.available(db(table)), selection)
  return db.from(wanted.select(db.raw('??.*, ??.xmin::text::bigint as geo_row_version', [table, table])).as('wanted'))
}

function inScope(replicable: Replicable, query: Knex.QueryBuilder, selection: SelectiveSync | null): Knex.QueryBuilder {
  if (!selection) return query
  return hostQuery(() => replicable.scope(query, selection), {
    code: 'SCOPE_FAILED',
    what: `The scope of ${replicable.name}`,
    circumstance: ` for the selection ${selection.type}`,
  })
}
