import fc from 'fast-check'
import type { Assembly, WorkSources } from '../../../lib/assembly.ts'
import type { WorkSource } from '../../../lib/dispatcher.ts'
import type { Action } from '../action.ts'
import type { SimSite } from '../site-process.ts'
import type { World } from '../world.ts'

/** Processes that work, die, stop and come back. */

const PRIMARY_JOBS = [
  'verify-primary',
  'verify-primary',
  'backfill-states',
  'wake-named',
  'reverify',
  'bulk',
  'prune-events',
] as const
const SECONDARY_JOBS = [
  'events',
  'events',
  'sync',
  'sync',
  'verify',
  'verify',
  'remove',
  'reconcile',
  'bulk',
  'end-dead-leases',
  'report-position',
] as const
const site = fc.constantFrom('primary' as const, 'secondary' as const)
type Which = 'primary' | 'secondary'

const work = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ site: fc.constant<Which>('primary'), job: fc.constantFrom<string[]>(...PRIMARY_JOBS) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ site: fc.constant<Which>('secondary'), job: fc.constantFrom<string[]>(...SECONDARY_JOBS) }),
  },
)

export const workOnce: Action<{ site: Which; job: string }> = {
  name: 'work',
  weight: 30,
  params: work,
  possible: () => true,
  async act(_, world, { site, job }) {
    await world[site].step(job)
  },
}

export const workAll: Action<{ site: Which }> = {
  name: 'workAll',
  weight: 8,
  params: fc.record({ site }),
  possible: () => true,
  act: (_, world, { site }) => world[site].settle(),
}

/** Whatever a dead process held ends like its heartbeat. */
async function expireLeases(world: World, site: Which, holder: string): Promise<void> {
  const db = site === 'primary' ? world.main : world.tracking
  await db('geo_leases')
    .where({ holder })
    .update({ expires_at: db.raw("clock_timestamp() - interval '1 second'") })
}

/** Killed in the middle of a job, after so many statements; another process takes its place once the leases have ended. */
export const crash: Action<{ site: Which; job: string; statements: number }> = {
  name: 'crash',
  weight: 5,
  params: fc.tuple(work, fc.nat({ max: 24 })).map(([what, statements]) => ({ ...what, statements })),
  possible: () => true,
  async act(_, world, { site, job, statements }) {
    const victim = world[site]
    victim.lifeline.endAfter(statements)
    await victim.step(job).catch(() => undefined)
    const holder = victim.assembly.leases.holder
    victim.lifeline.revive()
    await victim.begin()
    await expireLeases(world, site, holder)
  },
}

export const restart: Action<{ site: Which }> = {
  name: 'restart',
  weight: 2,
  params: fc.record({ site }),
  possible: () => true,
  async act(_, world, { site }) {
    await world[site].assembly.stop()
    await world[site].begin()
  },
}

type SourceName = keyof WorkSources
const source = fc.oneof(
  fc.record({ site: fc.constant<Which>('primary'), source: fc.constant<SourceName>('hash') }),
  fc.record({
    site: fc.constant<Which>('secondary'),
    source: fc.constantFrom<SourceName[]>('sync', 'verify', 'remove'),
  }),
)

/** A process that stood still for longer than its lease while another took its work up, and that then goes on. */
export const standStill: Action<{ site: Which; source: SourceName; meanwhile: boolean }> = {
  name: 'standStill',
  weight: 3,
  params: fc.tuple(source, fc.boolean()).map(([where, meanwhile]) => ({ ...where, meanwhile })),
  possible: () => true,
  async act(_, world, { site, source, meanwhile }) {
    const sleeper = await processBeside(world[site])
    const stalled = sleeper.sources[source] as WorkSource<unknown>
    const claim = await stalled.claim()
    await expireLeases(world, site, sleeper.leases.holder)
    await world[site].step('end-dead-leases')
    if (meanwhile) await world[site].settle()
    if (claim !== null) await stalled.work(claim)
  },
}

async function processBeside(site: SimSite): Promise<Assembly> {
  const beside = site.assemble()
  await beside.sites.refresh()
  return beside
}
