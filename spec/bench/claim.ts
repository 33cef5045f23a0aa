import type { Knex } from 'knex'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { createRegistryTable, defineReplicable, localDisk } from '../../lib/index.ts'
import { claimRows, SYNC_CLASSES } from '../../lib/registry/claims.ts'
import { openDatabases } from './database.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { median } from './rounds.ts'

const FEW = 10_000
const MANY = [1_000_000, 10_000_000] as const
const CLAIMS_PER_ROUND = 40
const ROWS_PER_CLAIM = 100
const LIMITS = { rows: ROWS_PER_CLAIM, byteBudget: 4 * 1024 * 1024 }
const REACH = 0.8

export const claim: Measurement = {
  title: 'rows claimed a second in a registry of 1,000,000 and of 10,000,000 rows, against one of 10,000',

  async measure(bench: Bench) {
    const databases = await openDatabases()
    const { tracking } = databases
    try {
      await tracking.raw('create extension if not exists pg_prewarm')
      const registries: Registry[] = []
      for (const [index, count] of [FEW, ...MANY].entries()) {
        const registry = await fill(tracking, index + 1, Math.max(FEW, scaled(bench, count)))
        registries.push(registry)
        bench.say(`${registry.rows} rows are there`)
      }
      await tracking.raw('checkpoint')
      // In turns: what the disk takes for a commit differs more from minute to minute than all else does from size to size.
      for (let round = 0; round <= bench.rounds; round += 1) {
        for (const registry of registries) {
          const perS = await claimSome(tracking, registry)
          if (round > 0) registry.rowsPerS.push(Math.round(perS))
          bench.say(`${registry.rows} rows, ${round === 0 ? 'warm-up' : `round ${round}`}: ${Math.round(perS)} rows/s`)
        }
      }
      const rowsPerS = Object.fromEntries(registries.map((registry) => [`of${registry.rows}`, registry.rowsPerS]))
      const medians = registries.map((registry) => median(registry.rowsPerS))
      const [few = 0, ...many] = medians
      const ratios = many.map((perS) => Number((perS / few).toFixed(3)))
      const ratio = Math.min(...ratios)
      const measured = `${ratios.join(' and ')}: ${medians.join(', ')} rows a second`
      return { ratio, reach: `≥ ${REACH} each`, measured, reached: ratio >= REACH, figures: { ratios, rowsPerS } }
    } finally {
      await databases.destroy()
    }
  },
}

interface Registry {
  readonly rows: number
  readonly replicable: Replicable
  readonly leaseId: string
  readonly rowsPerS: number[]
}

/** A fifth of them waits, a fifth is of a backfill, a fifth has failed and is due, a fifth is not, a fifth is done. */
const AS_FILLED = {
  state: 'case when n % 5 < 2 then 0 when n % 5 < 4 then 3 else 2 end',
  retry_count: 'case n % 5 when 2 then 1 when 3 then 9 else 0 end',
  // Moments that stand still: rows that are put back come first again.
  retry_at: `case n % 5 when 2 then timestamptz '2020-01-01' - n * interval '1 ms' when 3 then timestamptz 'infinity' end`,
  verification_state: 'case when n % 5 = 4 then 2 else 0 end',
} as const
const COLUMNS = Object.keys(AS_FILLED).join(', ')
const VALUES = Object.values(AS_FILLED).join(', ')

/** A type of its own with so many rows. */
async function fill(tracking: Knex, number: number, rows: number): Promise<Registry> {
  const replicable = defineReplicable({
    name: `claimed_${number}`,
    table: `claimed_${number}`,
    verificationState: 'separate',
    store: localDisk({ root: 'unused' }),
    blob: () => 'unused',
  }) as Replicable
  const { registryTable, foreignKey } = replicable.names
  await createRegistryTable(tracking, replicable.name)
  await tracking.raw(
    `insert into ?? (??, created_at, backfill, ${COLUMNS}) select n, now(), n % 5 = 1, ${VALUES} from generate_series(1, ?::int) n`,
    [registryTable, foreignKey, rows],
  )
  await tracking.raw('vacuum analyze ??', [registryTable])
  await tracking.raw('select pg_prewarm(?)', [registryTable])
  const leaseId = String(number)
  await tracking('geo_leases').insert({
    id: leaseId,
    kind: 'sync',
    replicable_name: replicable.name,
    holder: tracking.raw('gen_random_uuid()'),
    expires_at: tracking.raw("now() + interval '1 day'"),
  })
  return { rows, replicable, leaseId, rowsPerS: [] }
}

/** As the scheduler does: each class leads in turn. */
async function claimSome(tracking: Knex, { replicable, leaseId }: Registry): Promise<number> {
  const beganMs = performance.now()
  let claimed = 0
  for (let number = 0; number < CLAIMS_PER_ROUND; number += 1) {
    const leader = SYNC_CLASSES[number % SYNC_CLASSES.length] ?? 'new'
    const order = [leader, ...SYNC_CLASSES.filter((other) => other !== leader)]
    const rows = await tracking.transaction((trx) => claimRows(trx, replicable, leaseId, LIMITS, order))
    claimed += rows.length
  }
  const seconds = (performance.now() - beganMs) / 1000
  if (claimed !== CLAIMS_PER_ROUND * ROWS_PER_CLAIM) throw new Error(`Only ${claimed} rows were claimed`)
  await putBack(tracking, replicable, leaseId)
  return claimed / seconds
}

/** Everybody's next round finds what this one has found. */
async function putBack(tracking: Knex, { names }: Replicable, leaseId: string): Promise<void> {
  await tracking.raw(
    `update ?? r set lease_id = null, (${COLUMNS}) = (select ${VALUES} from (select r.?? as n) as filled) where lease_id = ?`,
    [names.registryTable, names.foreignKey, leaseId],
  )
  await tracking.raw('vacuum ??', [names.registryTable])
}
