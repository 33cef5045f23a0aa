import { setTimeout as sleep } from 'node:timers/promises'
import { buildOtherVersion } from '../other-version.ts'
import type { Seeded } from '../seeded.ts'
import type { Site } from '../site.ts'
import type { World } from '../world.ts'
import { caughtUpWithinMs } from './backlog.ts'
import type { Fault } from './fault.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const OWNERS = [null, 'north', 'south', 'west'] as const
const SELECTIONS = [['north'], ['south'], ['north', 'west'], []] as const
const TYPES = ['widget', 'gadget'] as const
const FLAP_MS = { least: 200, most: 3000 }
const RUN_EVERY_MS = { least: 1000, most: 6000 }
const RESELECT_EVERY_MS = { least: 3000, most: 9000 }
/** One run of each kind and type at a time. */
const ALREADY_RUNS = /BULK_RUN_ACTIVE|TYPE_OFF|flag is on/

type Numbers = { seconds: number; perSecond: number }

export const flags: Fault<Numbers> = {
  name: 'flags',
  title:
    'flags flap, the selection changes, bulk runs come, and processes of another version work beside, while blobs arrive',
  full: { seconds: 150, perSecond: 50 },
  least: { seconds: 30, perSecond: 10 },
  async run(world, size, chance) {
    const other = await buildOtherVersion()
    world.say(`the same code, built, as version ${other.version} beside`)
    const beside = world.sites.map((site) => site.addWorker('other', other.command))
    try {
      for (const member of beside) await member.start()
      return await changes(world, size, chance)
    } finally {
      for (const member of beside) await member.stop()
      await other.remove()
    }
  },
}

/** All of it at once, until the time is over; then all is on, selected, and to arrive. */
async function changes(world: World, { seconds, perSecond }: Numbers, chance: Seeded): Promise<string[]> {
  const violations: string[] = []
  const over = new AbortController()
  const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES, replaced: 5, deleted: 5, owners: OWNERS }
  let acting: Readonly<Record<string, Promise<number>>> = {}
  try {
    await underLoad(world, load, chance.stream('load'), async () => {
      const runs = world.sites.map((site) => [
        `bulk runs at ${site.name}`,
        startRuns(world, site, chance.stream(`runs ${site.name}`), over.signal, violations),
      ])
      acting = {
        'changes of flags': flap(world, chance.stream('flags'), over.signal),
        'changes of the selection': reselect(world, chance.stream('selection'), over.signal, violations),
        ...Object.fromEntries(runs),
      }
      await Promise.race([sleep(seconds * 1000), ...Object.values(acting)])
    })
  } finally {
    over.abort()
    // Also where one of them has failed: what it leaves is put right before anything else goes on.
    for (const [what, act] of Object.entries(acting)) violations.push(...(await timesOf(world, what, act)))
    await world.setFlags({ geo_widget_replication: true, geo_gadget_replication: true })
    for (const site of world.secondaries) violations.push(...(await select(world, site, null)))
  }
  // The last runs and the last selection may have had each of them fetched or hashed again.
  const withinMs = caughtUpWithinMs(world.ledger.liveCount, perSecond)
  const left = await world.settled(withinMs)
  if (left !== null) violations.push(`${Math.round(withinMs / 1000)} s after all is switched on and selected ${left}`)
  return violations
}

async function timesOf({ say }: World, what: string, act: Promise<number>): Promise<string[]> {
  try {
    const times = await act
    say(`${times} ${what}`)
    return times === 0 ? [`there were no ${what}`] : []
  } catch (reason) {
    return [`the ${what} could not go on: ${String(reason)}`]
  }
}

/** Both on as often as off. Returns how often. */
async function flap(world: World, chance: Seeded, signal: AbortSignal): Promise<number> {
  for (let times = 0; ; times += 1) {
    await pause(chance.between(FLAP_MS.least, FLAP_MS.most), signal)
    if (signal.aborted) return times
    const [widgets, gadgets] = [chance.next() < 0.5, chance.next() < 0.5]
    world.history.note({ kind: 'fault', fault: 'flags', what: `widgets ${widgets}, gadgets ${gadgets}` })
    await world.setFlags({ geo_widget_replication: widgets, geo_gadget_replication: gadgets })
  }
}

async function reselect(world: World, chance: Seeded, signal: AbortSignal, violations: string[]): Promise<number> {
  for (let times = 0; ; times += 1) {
    await pause(chance.between(RESELECT_EVERY_MS.least, RESELECT_EVERY_MS.most), signal)
    if (signal.aborted) return times
    const owners = chance.next() < 0.3 ? null : chance.of(SELECTIONS)
    world.history.note({ kind: 'fault', fault: 'flags', what: `selected: ${owners?.join(', ') ?? 'all'}` })
    violations.push(...(await select(world, chance.of(world.secondaries), owners)))
  }
}

/** What the site holds: of these owners and of nobody; null: everything. */
async function select(world: World, site: Site, owners: readonly string[] | null): Promise<string[]> {
  const chosen = owners === null ? ['all'] : ['namespaces', ...owners.flatMap((owner) => ['--namespace', owner])]
  const { exitCode, complaints } = await world.primary.command(['site', 'update', site.name, '--select-by', ...chosen])
  return exitCode === 0 ? [] : [`geo site update ended with ${exitCode}: ${complaints}`]
}

async function startRuns(
  world: World,
  site: Site,
  chance: Seeded,
  signal: AbortSignal,
  violations: string[],
): Promise<number> {
  for (let times = 0; ; times += 1) {
    await pause(chance.between(RUN_EVERY_MS.least, RUN_EVERY_MS.most), signal)
    if (signal.aborted) return times
    const action = site === world.primary ? 'reverify' : chance.of(['reverify', 'resync'] as const)
    const args = [action, chance.of(TYPES), '--no-wait']
    world.history.note({ kind: 'fault', fault: 'flags', what: `${site.name}: ${args.join(' ')}` })
    const { exitCode, complaints } = await site.command(args)
    if (exitCode !== 0 && !ALREADY_RUNS.test(complaints))
      violations.push(`${site.name}: geo ${args.join(' ')} ended with ${exitCode}: ${complaints}`)
  }
}

async function pause(forMs: number, signal: AbortSignal): Promise<void> {
  await sleep(forMs, undefined, { signal }).catch((reason: unknown) => {
    if (!signal.aborted) throw reason
  })
}
