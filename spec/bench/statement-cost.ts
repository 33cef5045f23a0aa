import type { Knex } from 'knex'

/** What work has cost the databases. */
export type StatementCost = {
  /** Planning and execution, by the servers' own clocks; without commits, which wait for the disk. */
  readonly ms: number
  /** From the first statement to the last answer, commits and the way to the servers included. */
  readonly wallMs: number
  readonly statements: number
  /** Pages that were touched, in memory or not: the same in every run, whatever else the machine does. */
  readonly buffers: number
  readonly walBytes: number
}

/** Runs `work` and adds up what its statements cost in these databases, but for those that say `checked`. */
export async function statementCost(databases: readonly Knex[], work: () => Promise<unknown>): Promise<StatementCost> {
  for (const db of databases) await db.raw('select pg_stat_statements_reset()')
  const beganMs = performance.now()
  await work()
  const wallMs = performance.now() - beganMs
  return { ...sumOf(await Promise.all(databases.map(told))), wallMs }
}

export function sumOf(costs: readonly StatementCost[]): StatementCost {
  return combined((of) => costs.reduce((sum, cost) => sum + of(cost), 0))
}

export function divided(cost: StatementCost, by: number): StatementCost {
  return combined((of) => of(cost) / by)
}

/** Figure by figure. */
export function combined(value: (of: (cost: StatementCost) => number) => number): StatementCost {
  const rounded = (of: (cost: StatementCost) => number) => Number(value(of).toFixed(4))
  return {
    ms: rounded(({ ms }) => ms),
    wallMs: rounded(({ wallMs }) => wallMs),
    statements: rounded(({ statements }) => statements),
    buffers: rounded(({ buffers }) => buffers),
    walBytes: rounded(({ walBytes }) => walBytes),
  }
}

async function told(db: Knex): Promise<StatementCost> {
  const { rows } = await db.raw<{ rows: Omit<StatementCost, 'wallMs'>[] }>(
    `select coalesce(sum(total_plan_time + total_exec_time) filter (where query !~* '^commit'), 0)::float8 as "ms",
       coalesce(sum(calls), 0)::float8 as "statements",
       coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8 as "buffers",
       coalesce(sum(wal_bytes), 0)::float8 as "walBytes"
     from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database())
       and query !~ 'pg_stat_statements|pg_last_wal_replay_lsn|pg_current_wal|checked'`,
  )
  const [cost] = rows
  if (!cost) throw new Error('pg_stat_statements told nothing')
  return { ...cost, wallMs: 0 }
}
