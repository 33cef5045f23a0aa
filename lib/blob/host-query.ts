import type { Knex } from 'knex'
import { type ErrorCode, GeoError, messageOf } from '../errors.ts'

/**
 * The query that a function of the host returns. `what` names the function, `circumstance` what it was called with.
 * @throws GeoError with the code, where it throws or returns no query
 */
export function hostQuery(
  narrow: () => Knex.QueryBuilder | undefined,
  { code, what, circumstance = '' }: { code: ErrorCode; what: string; circumstance?: string },
): Knex.QueryBuilder {
  try {
    const narrowed = narrow()
    if (typeof narrowed?.whereRaw === 'function') return narrowed
  } catch (reason) {
    throw new GeoError(code, `${what} failed${circumstance}: ${messageOf(reason)}`, { cause: reason })
  }
  throw new GeoError(code, `${what} returned no query`)
}
