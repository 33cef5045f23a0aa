import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Seeded } from '../seeded.ts'
import type { Site } from '../site.ts'
import { pidsOf, Strace } from '../strace.ts'
import { OWN_PREFIX } from '../watcher.ts'
import type { World } from '../world.ts'
import { watchBacklog } from './backlog.ts'
import { HealthWatch } from './health-watch.ts'
import type { HostRoute } from './host-route.ts'
import { newlyRetried, retried } from './retries.ts'
import { fillUp, moveToDisk, remount } from './small-disk.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const NOTED_WITHIN_MS = 20_000
const BACK_WITHIN_MS = 30_000
const CAUGHT_UP_WITHIN_MS = 120_000
const BETWEEN_MS = 3000

export type Numbers = { rounds: number; holdSeconds: number; perSecond: number }

interface Mode {
  /** One of these is said in health; none where there is nothing to say. */
  readonly codes: readonly string[]
  readonly traced: boolean
  begin(disk: Disk): Promise<void>
  end(disk: Disk): Promise<void>
}

interface Disk {
  readonly world: World
  readonly site: Site
  readonly strace: Strace
}

const ballastOf = ({ blobsDir }: Site) => join(blobsDir, `${OWN_PREFIX}ballast`)

export const SECONDARY_MODES: Readonly<Record<string, Mode>> = {
  full: {
    codes: ['STORAGE_FULL'],
    traced: false,
    begin: ({ site }) => fillUp(ballastOf(site)),
    end: ({ site }) => rm(ballastOf(site), { force: true }),
  },
  readOnly: {
    codes: ['STORAGE_ERROR'],
    traced: false,
    async begin({ world, site }) {
      await remount(world, site, 'ro')
      site.storeBroke.push(Date.now())
    },
    end: ({ world, site }) => remount(world, site, 'rw'),
  },
  ioError: {
    codes: ['STORAGE_ERROR'],
    traced: true,
    begin: ({ site, strace }) => strace.attach(pidsOf(site), { inject: 'error=EIO' }),
    end: ({ strace }) => strace.detach(),
  },
  slow: {
    codes: [],
    traced: true,
    begin: ({ site, strace }) => strace.attach(pidsOf(site), { inject: 'delay_enter=100000' }),
    end: ({ strace }) => strace.detach(),
  },
}

/** Work on a disk that is bad pauses, is no fault of any blob, and goes on after it; its host answers as ever. */
export async function ofSecondary(
  world: World,
  site: Site,
  route: HostRoute,
  modes: readonly string[],
  size: Numbers,
  chance: Seeded,
): Promise<string[]> {
  const left = await world.settled(CAUGHT_UP_WITHIN_MS)
  if (left !== null) return [`before it ${left}`]
  const violations: string[] = []
  const putBack = await moveToDisk(world, site)
  try {
    for (let round = 1; round <= size.rounds; round += 1) {
      for (const name of chance.shuffled(modes)) {
        const found = await misbehave(world, site, route, name, size, chance.stream(`${round} ${name}`))
        violations.push(...found.map((violation) => `${site.name}, ${name}: ${violation}`))
      }
    }
  } finally {
    const stuck = await world.settled(CAUGHT_UP_WITHIN_MS)
    if (stuck !== null) violations.push(`after it ${stuck}`)
    await putBack()
  }
  return violations
}

async function misbehave(
  world: World,
  site: Site,
  route: HostRoute,
  name: string,
  { holdSeconds, perSecond }: Numbers,
  chance: Seeded,
): Promise<string[]> {
  const mode = SECONDARY_MODES[name]
  if (!mode) throw new Error(`There is no way to misbehave called ${name}`)
  const work = mode.codes.length > 0 ? 'pauses' : 'goes on'
  const violations: string[] = []
  const strace = new Strace()
  const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES, replaced: 5, deleted: 5 }
  let { idle } = route
  // What looks at each call of a process costs it time, whatever it answers: so idle, and with the load, as during the fault.
  if (mode.traced) {
    const left = await world.settled(CAUGHT_UP_WITHIN_MS)
    if (left !== null) return [`before it ${left}`]
    await strace.attach(pidsOf(site), { inject: null })
    idle = await route.p99(0).finally(() => strace.detach())
  }
  const watch = new HealthWatch(world, site)
  const act = async () => {
    if (mode.traced) await strace.attach(pidsOf(site), { inject: null })
    await sleep(BETWEEN_MS)
    const well = await route.p99(holdSeconds * 1000)
    await strace.detach()
    const before = await retried(world)
    world.history.note({ kind: 'fault', fault: 'disk', what: `${name} on ${site.name}` })
    let ill = Number.NaN
    try {
      await mode.begin({ world, site, strace })
      const measuring = route.leastWhileBad({ idle, well }, work, () => route.p99(holdSeconds * 1000))
      for (const code of mode.codes) {
        const said = await watch.hears(code, NOTED_WITHIN_MS)
        if (said === null)
          violations.push(`health does not say ${code}: ${[...watch.heard.keys()].join(', ') || 'nothing'}`)
        else world.say(`${name}: ${said}`)
      }
      ill = await measuring
    } finally {
      await mode.end({ world, site, strace })
      world.history.note({ kind: 'fault', fault: 'disk', what: `${site.name} is as before` })
    }
    const limits = { perSecond, backWithinMs: BACK_WITHIN_MS }
    const backlog = await watchBacklog(world, limits)
    violations.push(...backlog.violations)
    world.say(`${name}: ${backlog.text}`)
    violations.push(...route.judge(world, name, { idle, well, ill }, work))
    const still = await watch.recovers(mode.codes, BACK_WITHIN_MS)
    if (still !== null) violations.push(`it is not well again: ${still}`)
    violations.push(...(await newlyRetried(world, before)))
    return violations
  }
  try {
    return await underLoad(world, load, chance.stream('load'), act)
  } finally {
    await strace.detach()
    await watch.close()
  }
}
