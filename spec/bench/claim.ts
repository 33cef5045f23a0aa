import type { Knex } from 'knex'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { claimRows, SYNC_CLASSES } from '../../lib/registry/claims.ts'
import { openDatabases } from './database.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { median } from './rounds.ts'

const FEW = 10_000
const MANY = [1_000_000, 10_000_000] as const
const CLAIMS_PER_ROUND = 40
const ROWS_PER_CLAIM = 100
const LIMITS = { rows: ROWS_PER_CLAIM, byteBudget: 4 * 1024 * 1024 }
const LEASE = '5'
const REACH = 0.8

export const claim: Measurement = {
  title: 'rows claimed a second in a registry of 1,000,000 and of 10,000,000 rows, against one of 10,000',

  async measure(bench: Bench) {
    const databases = await openDatabases()
    const { tracking } = databases
    const widgets = declareReplicables('unused').widgets as Replicable
    try {
      await tracking.raw('create extension if not exists pg_prewarm')
      await tracking('geo_leases').insert({
        id: LEASE,
        kind: 'sync',
        replicable_name: 'widget',
        holder: tracking.raw('gen_random_uuid()'),
        expires_at: tracking.raw("now() + interval '1 day'"),
      })
      const rowsPerS: Record<string, number[]> = {}
      for (const rows of [FEW, ...MANY].map((count) => Math.max(FEW, scaled(bench, count)))) {
        const measured: number[] = []
        await fill(tracking, rows)
        for (let round = 0; round <= bench.rounds; round += 1) {
          const perS = await claimSome(tracking, widgets)
          if (round > 0) measured.push(Math.round(perS))
          bench.say(`${rows} rows, ${round === 0 ? 'warm-up' : `round ${round}`}: ${Math.round(perS)} rows/s`)
        }
        rowsPerS[`of${rows}`] = measured
      }
      const [few = 0, ...many] = Object.values(rowsPerS).map(median)
      const ratios = many.map((perS) => Number((perS / few).toFixed(3)))
      const ratio = Math.min(...ratios)
      const measured = `${ratios.join(' and ')}: ${Object.values(rowsPerS).map(median).join(', ')} rows a second`
      return { ratio, reach: `≥ ${REACH} each`, measured, reached: ratio >= REACH, figures: { ratios, rowsPerS } }
    } finally {
      await databases.destroy()
    }
  },
}

/** A fifth of them waits, a fifth is of a backfill, a fifth has failed and is due, a fifth is not, a fifth is done. */
const AS_FILLED = {
  state: 'case when n % 5 < 2 then 0 when n % 5 < 4 then 3 else 2 end',
  retry_count: 'case n % 5 when 2 then 1 when 3 then 9 else 0 end',
  retry_at: `case n % 5 when 2 then now() - n * interval '1 ms' when 3 then now() + interval '1 day' end`,
  verification_state: 'case when n % 5 = 4 then 2 else 0 end',
} as const
const COLUMNS = Object.keys(AS_FILLED).join(', ')
const VALUES = Object.values(AS_FILLED).join(', ')

async function fill(tracking: Knex, rows: number): Promise<void> {
  await tracking('widget_registry').truncate()
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, backfill, ${COLUMNS})
     select n, now(), n % 5 = 1, ${VALUES} from generate_series(1, ?::int) n`,
    [rows],
  )
  await tracking.raw('vacuum analyze widget_registry')
  await tracking.raw("select pg_prewarm('widget_registry')")
  await tracking.raw('checkpoint')
}

/** As the scheduler does: each class leads in turn. */
async function claimSome(tracking: Knex, widgets: Replicable): Promise<number> {
  const beganMs = performance.now()
  let claimed = 0
  for (let number = 0; number < CLAIMS_PER_ROUND; number += 1) {
    const leader = SYNC_CLASSES[number % SYNC_CLASSES.length] ?? 'new'
    const order = [leader, ...SYNC_CLASSES.filter((other) => other !== leader)]
    const rows = await tracking.transaction((trx) => claimRows(trx, widgets, LEASE, LIMITS, order))
    claimed += rows.length
  }
  const seconds = (performance.now() - beganMs) / 1000
  if (claimed !== CLAIMS_PER_ROUND * ROWS_PER_CLAIM) throw new Error(`Only ${claimed} rows were claimed`)
  await putBack(tracking)
  return claimed / seconds
}

/** Everybody's next round finds what this one has found. */
async function putBack(tracking: Knex): Promise<void> {
  await tracking.raw(
    `update widget_registry r set lease_id = null, (${COLUMNS}) =
       (select ${VALUES} from (select r.widget_id as n) as filled) where lease_id = ?`,
    [LEASE],
  )
  await tracking.raw('vacuum widget_registry')
}
