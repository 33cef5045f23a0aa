import createKnex, { type Knex } from 'knex'
import { ConfigurationError } from './errors.ts'

const WORK_CONNECTIONS = 6

/**
 * Small pools of our own to the places that the host's Knex instances point at: our work never waits for the host's queries
 * nor they for ours, and heartbeats have a connection to themselves. No session state, so PgBouncer in transaction mode fits.
 */
export interface Databases {
  readonly main: Knex
  readonly tracking: Knex | null
  /** One connection each to the same places, for leases alone. */
  readonly mainHeartbeat: Knex
  readonly trackingHeartbeat: Knex | null
  close(): Promise<void>
}

export function openDatabases(mainDb: Knex, trackingDb: Knex | null): Databases {
  const pools: Knex[] = []
  const open = (host: Knex, max: number): Knex => {
    const pool = createKnex({ ...(host.client.config as Knex.Config), pool: { min: 0, max } })
    pools.push(pool)
    return pool
  }
  return Object.freeze({
    main: open(mainDb, WORK_CONNECTIONS),
    tracking: trackingDb && open(trackingDb, WORK_CONNECTIONS),
    mainHeartbeat: open(mainDb, 1),
    trackingHeartbeat: trackingDb && open(trackingDb, 1),
    close: async () => {
      await Promise.all(pools.map((pool) => pool.destroy()))
    },
  })
}

/** One statement with bound values. Arrays are bound whole: `any(?::bigint[])`, `unnest(?::text[])`. */
export async function run<Result = unknown>(
  db: Pick<Knex, 'raw'>,
  sql: string,
  bindings: readonly unknown[] = [],
): Promise<Result> {
  return db.raw(sql, bindings as Knex.RawBinding[]) as unknown as Promise<Result>
}

const LONGEST_STATEMENT_MS = 30_000

/** Runs `work` in a transaction in which no statement lasts longer than 30 s: for everything that touches the host's tables. */
export function bounded<Result>(db: Knex, work: (trx: Knex.Transaction) => Promise<Result>): Promise<Result> {
  return db.transaction(async (trx) => {
    await run(trx, `set local statement_timeout = ${LONGEST_STATEMENT_MS}`)
    return work(trx)
  })
}

/**
 * Fails where a table does not exist, so that a misspelt name is found at the start and not in the first batch.
 * @throws ConfigurationError `UNKNOWN_TABLE`
 */
export async function requireTables(db: Knex, database: 'main' | 'tracking', tables: readonly string[]): Promise<void> {
  const { rows } = await run<{ rows: { name: string }[] }>(
    db,
    'select name from unnest(?::text[]) as t(name) where to_regclass(name) is null',
    [tables],
  )
  if (rows.length > 0) {
    const missing = rows.map((row) => `"${row.name}"`).join(', ')
    throw new ConfigurationError('UNKNOWN_TABLE', `The ${database} database has no table ${missing}`)
  }
}
