import type { Knex } from 'knex'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { replicate } from './replicate.ts'
import { openSites } from './sites.ts'

const COUNT = 10_000
const BYTES = 10 * 1024
const REACH = 0.2

export const statements: Measurement = {
  title: 'database statements of the secondary per blob, from insert to verified, in a backlog of 10,000',

  async measure(bench: Bench) {
    const count = scaled(bench, COUNT)
    const sites = await openSites(bench)
    const { main, standby, tracking, caughtUp } = sites.databases
    try {
      await replicate(sites, { count, bytes: BYTES })
      await main.raw('create extension pg_stat_statements')
      await tracking.raw('create extension pg_stat_statements')
      await caughtUp()
      for (const db of [main, standby, tracking]) await db.raw('select pg_stat_statements_reset()')
      const seconds = await replicate(sites, { count, bytes: BYTES })
      const [ofPrimary, ofReplica, ofTracking] = [await told(main), await told(standby), await told(tracking)]
      const perBlob = Number(((ofReplica.calls + ofTracking.calls) / count).toFixed(4))
      return {
        ratio: null,
        reach: `≤ ${REACH} on the secondary`,
        measured: String(perBlob),
        reached: perBlob <= REACH,
        figures: { perBlob, seconds, ofPrimary, ofReplica, ofTracking },
      }
    } finally {
      await sites.close()
    }
  },
}

const OURS =
  "query !~ 'pg_stat_statements|as verified from widget_registry|max\\(verified_at\\)|pg_last_wal_replay_lsn'"

/** Milliseconds are of the server's own counting, planning included; `most` names what took most of them. */
type Told = {
  readonly calls: number
  readonly planMs: number
  readonly execMs: number
  readonly most: readonly string[]
}

interface Statement {
  readonly calls: number
  readonly planMs: number
  readonly execMs: number
  readonly query: string
}

/** Statements of a server, those of this measurement left out. */
async function told(db: Knex): Promise<Told> {
  const found = await db.raw<{ rows: Statement[] }>(
    `select calls::int, total_plan_time::float8 as "planMs", total_exec_time::float8 as "execMs",
       regexp_replace(query, '\\s+', ' ', 'g') as query
     from pg_stat_statements where ${OURS} order by total_exec_time + total_plan_time desc`,
  )
  const sum = (field: 'calls' | 'planMs' | 'execMs') =>
    Math.round(found.rows.reduce((total, statement) => total + statement[field], 0))
  const most = found.rows.slice(0, 12).map(({ calls, planMs, execMs, query }) => {
    const times = `${(planMs / calls).toFixed(2)} + ${(execMs / calls).toFixed(2)} ms`
    return `${calls} × ${times}: ${query.slice(0, 120)}`
  })
  return { calls: sum('calls'), planMs: sum('planMs'), execMs: sum('execMs'), most }
}
