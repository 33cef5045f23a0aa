import { join } from 'node:path'
import { currentOf } from '../ledger.ts'
import type { Seeded } from '../seeded.ts'
import { pidsOf, Strace } from '../strace.ts'
import { CAPACITY, type World } from '../world.ts'
import { sentencesOf, watchHarm } from './harm.ts'
import type { HostRoute } from './host-route.ts'
import { reverify, untilJudged } from './reverify.ts'
import { moveToDisk, remount } from './small-disk.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const BLOBS = 200
const SETTLED_WITHIN_MS = 120_000

interface Bad {
  readonly world: World
  readonly strace: Strace
  /** Paths of what the secondaries are still to fetch. */
  readonly files: readonly string[]
}

interface Mode {
  readonly traced: boolean
  begin(bad: Bad): Promise<void>
  end(bad: Bad): Promise<void>
}

/** What the SDK has to do with there: it reads. That there is room to write is up to the host. */
export const PRIMARY_MODES: Readonly<Record<string, Mode>> = Object.freeze({
  readOnly: {
    traced: false,
    begin: ({ world }) => remount(world, world.primary, 'ro'),
    end: ({ world }) => remount(world, world.primary, 'rw'),
  },
  slow: {
    traced: true,
    begin: ({ world, strace, files }) =>
      strace.attach(pidsOf(world.primary), { inject: 'delay_enter=20000', readOf: files }),
    end: ({ strace }) => strace.detach(),
  },
})

/** Whatever its disk does, the primary serves what can be read of it, and hashes it; its host answers as ever. */
export async function ofPrimary(
  world: World,
  route: HostRoute,
  modes: readonly string[],
  holdSeconds: number,
  chance: Seeded,
): Promise<string[]> {
  const violations: string[] = []
  const putBack = await moveToDisk(world, world.primary)
  try {
    for (const name of chance.shuffled(modes)) {
      const mode = PRIMARY_MODES[name]
      if (!mode) throw new Error(`There is no way to misbehave called ${name}`)
      const found = await misbehave(world, route, { ...mode, name }, holdSeconds * 1000, chance.stream(name))
      violations.push(...found.map((violation) => `${world.primary.name}, ${name}: ${violation}`))
    }
  } finally {
    await putBack()
  }
  return violations
}

async function misbehave(
  world: World,
  route: HostRoute,
  mode: Mode & { readonly name: string },
  holdMs: number,
  chance: Seeded,
): Promise<string[]> {
  const harm = await watchHarm(world)
  const well = await serve(world, route, holdMs, chance.stream('well'), {
    traced: mode.traced,
    begin: async ({ strace, files }) => {
      if (mode.traced) await strace.attach(pidsOf(world.primary), { inject: null, readOf: files })
    },
    end: ({ strace }) => strace.detach(),
  })
  const violations = [...well.violations]
  const ill = await route.leastWhileBad({ idle: route.idle, well: well.p99 }, 'goes on', async () => {
    const served = await serve(world, route, holdMs, chance.stream('ill'), mode)
    violations.push(...served.violations)
    return served.p99
  })
  violations.push(...route.judge(world, mode.name, { idle: route.idle, well: well.p99, ill }, 'goes on'))
  await untilJudged(world, SETTLED_WITHIN_MS)
  return [...violations, ...sentencesOf(await harm())]
}

/** The secondaries fetch so many blobs, and the primary hashes all that it has. */
async function serve(
  world: World,
  route: HostRoute,
  holdMs: number,
  chance: Seeded,
  mode: Mode,
): Promise<{ p99: number; violations: string[] }> {
  await world.setCapacity(0)
  const before = new Set(world.ledger.records)
  await world.host.load({ blobs: BLOBS, perSecond: 1000, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }, chance)
  const files = world.ledger
    .live()
    .filter((record) => !before.has(record))
    .map((record) => join(world.primary.blobsDir, currentOf(record).key))
  const bad = { world, files, strace: new Strace() }
  world.history.note({ kind: 'fault', fault: 'disk', what: `the disk of ${world.primary.name} is bad` })
  try {
    await mode.begin(bad)
    const violations = await reverify(world.primary)
    const measuring = route.p99(holdMs)
    await world.setCapacity(CAPACITY)
    const left = await world.settled(SETTLED_WITHIN_MS)
    if (left !== null) violations.push(`meanwhile ${left}`)
    return { p99: await measuring, violations }
  } finally {
    await mode.end(bad)
    world.history.note({ kind: 'fault', fault: 'disk', what: `${world.primary.name} is as before` })
  }
}
