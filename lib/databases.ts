import type { Knex } from 'knex'
import { arrayLiteral } from './array-literal.ts'
import { type Clock, settlesWithin } from './clock.ts'
import { ConfigurationError, GeoError } from './errors.ts'
import type { LoggerLike } from './log.ts'
import { OwnPool } from './own-pool.ts'

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
  /**
   * From now on every query rejects with `STOPPED`; resolves when those under way have ended. What is under way for longer than
   * `patienceMs` (the server hangs) loses its connection.
   */
  close(patienceMs: number): Promise<void>
}

/** Where a site of that role renews its leases: in the database that it writes, whatever else is configured. */
export function heartbeatOf(
  { mainHeartbeat, trackingHeartbeat }: Pick<Databases, 'mainHeartbeat' | 'trackingHeartbeat'>,
  role: 'primary' | 'secondary' | 'unknown',
): Knex {
  return role === 'primary' ? mainHeartbeat : (trackingHeartbeat ?? mainHeartbeat)
}

export function openDatabases(mainDb: Knex, trackingDb: Knex | null, logger: LoggerLike, clock: Clock): Databases {
  const pools: OwnPool[] = []
  const open = (host: Knex, max: number): Knex => {
    const pool = new OwnPool(host, max, logger)
    pools.push(pool)
    return pool.knex
  }
  return Object.freeze({
    main: open(mainDb, WORK_CONNECTIONS),
    tracking: trackingDb && open(trackingDb, WORK_CONNECTIONS),
    mainHeartbeat: open(mainDb, 1),
    trackingHeartbeat: trackingDb && open(trackingDb, 1),
    close: async (patienceMs: number) => {
      const closed = Promise.all(pools.map((pool) => pool.close()))
      if (!(await settlesWithin(clock, closed, patienceMs))) for (const pool of pools) pool.cut()
      await closed
    },
  })
}

/**
 * One statement with bound values. Arrays are bound whole: `any(?::bigint[])`, `unnest(?::text[])`. Where a time limit is given
 * and passes, it rejects and its connection is not used again.
 */
export async function run<Result = unknown>(
  db: Pick<Knex, 'raw'>,
  sql: string,
  bindings: readonly unknown[] = [],
  { timeoutMs }: { timeoutMs?: number } = {},
): Promise<Result> {
  const values = bindings.map((value) => (Array.isArray(value) ? arrayLiteral(value) : value))
  const query = db.raw(sql, values as Knex.RawBinding[])
  return (timeoutMs === undefined ? query : query.timeout(timeoutMs)) as unknown as Promise<Result>
}

const LONGEST_STATEMENT_MS = 30_000
// A process that is stopped (SIGSTOP, a machine that is put to sleep) in a transaction would keep its locks until it goes on, and the
// lock of claims keeps all others from work. Longer than any lease lives, so that whoever loses its session has nothing to say anyhow.
const LONGEST_PAUSE_MS = 30_000

export interface BoundedOptions extends Pick<Knex.TransactionConfig, 'isolationLevel'> {
  /** Default: 30 s. */
  readonly longestStatementMs?: number
}

/**
 * Runs `work` in a transaction in which no statement lasts longer than it may, nor a pause between two longer than 30 s: for
 * everything that touches the host's tables.
 */
export function bounded<Result>(
  db: Knex,
  work: (trx: Knex.Transaction) => Promise<Result>,
  { longestStatementMs = LONGEST_STATEMENT_MS, ...config }: BoundedOptions = {},
): Promise<Result> {
  return begin(db, limits(longestStatementMs), work, config)
}

const limits = (longestStatementMs: number): string =>
  `set local statement_timeout = ${longestStatementMs}; set local idle_in_transaction_session_timeout = ${LONGEST_PAUSE_MS}`

/** `settings` in one go: they are sent in each transaction. */
function begin<Result>(
  db: Knex,
  settings: string,
  work: (trx: Knex.Transaction) => Promise<Result>,
  config?: Knex.TransactionConfig,
): Promise<Result> {
  return db.transaction(async (trx) => {
    await run(trx, settings)
    return work(trx)
  }, config)
}

const without = (...ways: readonly string[]): string =>
  [limits(LONGEST_STATEMENT_MS), ...ways.map((way) => `set local enable_${way} = off`)].join('; ')
const BY_KEY = without('seqscan', 'hashjoin', 'mergejoin')
const BY_PAGE = without('seqscan', 'nestloop')

/**
 * As bounded, for writing rows of ours that are all found by their keys; no query of the host's may run in it. At the default costs a
 * page in memory counts like one on a turning disk, so up to some ten thousand rows the planner would rather read the whole table for a
 * few hundred keys: ten times as long, and ever longer.
 */
export function boundedByKey<Result>(db: Knex, work: (trx: Knex.Transaction) => Promise<Result>): Promise<Result> {
  return begin(db, BY_KEY, work)
}

/**
 * As bounded, for holding a page of thousands of keys against the part of a table of ours that it covers: never each against each,
 * whatever the planner takes the table for (see anyOf). The part must be bounded by an index.
 */
export function boundedByPage<Result>(db: Knex, work: (trx: Knex.Transaction) => Promise<Result>): Promise<Result> {
  return begin(db, BY_PAGE, work)
}

/**
 * A condition, beside their keys, on rows that are found by these. The planner is not to find them by it: its statistics know
 * nothing of the last minutes, so it takes the rows that are under way for few, and goes through them for each of the keys.
 */
export function checked(condition: string): string {
  return `case when ${condition} then true else false end`
}

/**
 * The rows of a set that the statement has made before, `with <set> as materialized (select <id>, … )`, beside the join with it:
 * `r.id = due.id and r.id = ${anyOf('due')}`. Where its statistics were gathered while a table was empty, the planner takes it for
 * one row until they are gathered again, however many have come, and would hold each of them against each of the set. Beside a join
 * with arrays that are bound, `r.key = any(?)` is there for the same.
 */
export function anyOf(set: string, id = 'id'): string {
  return `any(array(select ${id} from ${set}))`
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

// What PostgreSQL says of a statement; classes 08, 53 and 57 say that the connection was refused, lost or one too many.
const STATEMENT_FAILED = /^(?!08|53|57)([0-5][0-9A-Z]|F0|HV|P0|XX)[0-9A-Z]{3}$/

/**
 * Runs what a request needs of a database.
 * @throws GeoError `DATABASE_UNAVAILABLE` where it does not answer; anything else as it is
 */
export async function answering<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (reason) {
    const ours = reason instanceof GeoError || reason instanceof TypeError || reason instanceof RangeError
    if (ours || STATEMENT_FAILED.test(String((reason as { code?: unknown }).code))) throw reason
    // What the driver says names statements and addresses: it is for the log, which tells the cause as well.
    const { code } = reason as { code?: unknown }
    const how = typeof code === 'string' ? ` (${code})` : ''
    throw new GeoError('DATABASE_UNAVAILABLE', `The database does not answer${how}`, { cause: reason })
  }
}
