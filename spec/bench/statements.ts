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

type Told = { readonly calls: number; readonly execMs: number; readonly most: readonly string[] }

/** Statements of a server, those of this measurement left out, and which took most of its time. */
async function told(db: Knex): Promise<Told> {
  const { rows } = await db.raw(
    `select calls::int, total_exec_time::float8 as ms, regexp_replace(query, '\\s+', ' ', 'g') as query
     from pg_stat_statements where ${OURS} order by total_exec_time desc`,
  )
  const calls = rows.reduce((sum: number, row: { calls: number }) => sum + row.calls, 0)
  const execMs = Math.round(rows.reduce((sum: number, row: { ms: number }) => sum + row.ms, 0))
  const most = rows
    .slice(0, 12)
    .map(
      (row: { calls: number; ms: number; query: string }) =>
        `${row.calls} × ${(row.ms / row.calls).toFixed(2)} ms: ${row.query.slice(0, 120)}`,
    )
  return { calls, execMs, most }
}
