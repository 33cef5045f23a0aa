import type { Knex } from 'knex'
import { type Clock, systemClock } from '../clock.ts'
import { GeoError } from '../errors.ts'

/** Changes to a host's table while the host reads and writes it: nothing here keeps the host's statements waiting in a queue. */

// An ALTER that waits for its lock makes every later statement on the table wait behind it, so it gives up after this and lets
// the others pass.
const LOCK_TIMEOUT_MS = 100
// An autovacuum yields only to who has waited for PostgreSQL's deadlock_timeout of 1 s: one attempt in ten waits that long.
const VACUUM_LOCK_TIMEOUT_MS = 1500
const ATTEMPTS_PER_LONG_ONE = 10
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000

const LOCK_NOT_AVAILABLE = '55P03'

export interface LockPatience {
  /** How long to go on trying for a lock on a busy table, in milliseconds. Default ten minutes. */
  patienceMs?: number
  clock?: Clock
}

/**
 * Runs statements in a transaction (a savepoint inside one), again and again while others hold the table.
 * @throws GeoError `TABLE_BUSY` once `patienceMs` is over, with the transactions that stood in the way
 */
export async function alterLive(
  knex: Knex,
  table: string,
  alter: (trx: Knex.Transaction) => Promise<void>,
  { patienceMs = 600_000, clock = systemClock }: LockPatience = {},
): Promise<void> {
  const startedAtMs = clock.monotonicMs()
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await withLockTimeout(
        knex,
        attempt % ATTEMPTS_PER_LONG_ONE === 0 ? VACUUM_LOCK_TIMEOUT_MS : LOCK_TIMEOUT_MS,
        alter,
      )
    } catch (reason) {
      if ((reason as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw reason
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS) * (0.5 + clock.random() / 2)
      if (clock.monotonicMs() - startedAtMs + pauseMs > patienceMs) {
        throw new GeoError('TABLE_BUSY', await stillInUse(knex, table, patienceMs), { cause: reason })
      }
      await clock.sleep(pauseMs)
    }
  }
}

async function withLockTimeout(
  knex: Knex,
  timeoutMs: number,
  alter: (trx: Knex.Transaction) => Promise<void>,
): Promise<void> {
  await knex.transaction(async (trx) => {
    const { rows } = await trx.raw<{ rows: { lock: string; statement: string }[] }>(
      `select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`,
    )
    await trx.raw(`set local lock_timeout = ${timeoutMs}`)
    await trx.raw('set local statement_timeout = 0')
    await alter(trx)
    // They would outlive a savepoint, and rule over what the host does next in its migration.
    const { lock = '0', statement = '0' } = rows[0] ?? {}
    await trx.raw(`select set_config('lock_timeout', ?, true), set_config('statement_timeout', ?, true)`, [
      lock,
      statement,
    ])
  })
}

async function stillInUse(knex: Knex, table: string, patienceMs: number): Promise<string> {
  const { rows } = await knex.raw<{ rows: { pid: number; seconds: number | null }[] }>(
    `select a.pid, extract(epoch from clock_timestamp() - a.xact_start)::integer as seconds
     from pg_locks l join pg_stat_activity a on a.pid = l.pid
     where l.relation = to_regclass(?) and l.granted and l.pid <> pg_backend_pid() and a.datname = current_database()
     group by a.pid, a.xact_start order by a.xact_start limit 5`,
    [quoteTable(table)],
  )
  const holders = rows.map(({ pid, seconds }) => (seconds === null ? `${pid}` : `${pid} (for ${seconds} s)`)).join(', ')
  return (
    `The table ${table} was in use without a pause for ${Math.round(patienceMs / 1000)} s, so it was not changed. ` +
    `End the transactions that stay open on it${holders && `, now of the server processes ${holders},`} ` +
    'and run the migration again: it goes on where it stopped'
  )
}

export interface LiveIndex {
  readonly name: string
  /** What follows the table in `create index`. */
  readonly definition: string
}

/**
 * Builds indexes while the table is written, outside any transaction. One that an attempt before left behind half-built is
 * dropped and built anew; one that is whole stays.
 */
export async function indexLive(knex: Knex, table: string, indexes: readonly LiveIndex[]): Promise<void> {
  await withoutTimeouts(knex, async (run) => {
    for (const { name, definition } of indexes) {
      const [found] = await run<ExistingIndex>(`${EXISTING_INDEXES} and c.relname = ?`, [quoteTable(table), name])
      if (found?.valid) continue
      if (found) await run('drop index concurrently if exists ??.??', [found.schema, name])
      await run(`create index concurrently ?? on ?? ${definition}`, [name, table])
    }
  })
}

/** Builds in the caller's transaction those indexes that a table, new and therefore nobody's yet, does not have. */
export async function indexNew(trx: Knex.Transaction, table: string, indexes: readonly LiveIndex[]): Promise<void> {
  const { rows } = await trx.raw<{ rows: ExistingIndex[] }>(EXISTING_INDEXES, [quoteTable(table)])
  const existing = new Set(rows.map((row) => row.name))
  // Not `if not exists`, which passes in silence where another table's index has the name.
  for (const { name, definition } of indexes.filter((index) => !existing.has(index.name))) {
    await trx.raw(`create index ?? on ?? ${definition}`, [name, table])
  }
}

interface ExistingIndex {
  name: string
  schema: string
  valid: boolean
}

const EXISTING_INDEXES = `select c.relname as name, n.nspname as schema, i.indisvalid as valid
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
  where i.indrelid = ?::regclass`

type Run = <Row>(sql: string, bindings?: readonly string[]) => Promise<Row[]>

/**
 * `create index concurrently` waits for every older transaction while the host goes on; a time limit of the host's role would
 * only leave the index half-built.
 */
async function withoutTimeouts(knex: Knex, work: (run: Run) => Promise<void>): Promise<void> {
  const connection: unknown = await knex.client.acquireConnection()
  const run: Run = async (sql, bindings = []) => (await knex.raw(sql, bindings).connection(connection)).rows
  try {
    await run('set statement_timeout = 0')
    await run('set lock_timeout = 0')
    await work(run)
  } finally {
    // On a broken connection these fail too, and must not hide why it broke.
    await Promise.allSettled([run('reset statement_timeout'), run('reset lock_timeout')])
    await knex.client.releaseConnection(connection)
  }
}

/** `app.Widgets` as `"app"."Widgets"`, for the places where a table is a value and not an identifier. */
export function quoteTable(table: string): string {
  return table
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.')
}
