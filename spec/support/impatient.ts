import createKnex, { type Knex } from 'knex'

const PATIENCE_MS = 300

/**
 * A connection on which what waits for a lock in vain fails soon: without it, the one who waits would be waited for by the very
 * spec that holds the lock.
 */
export function connectImpatiently(connectionString: string): Knex {
  return createKnex({
    client: 'pg',
    connection: { connectionString, options: `-c lock_timeout=${PATIENCE_MS}` },
    pool: { min: 0, max: 2 },
  })
}
