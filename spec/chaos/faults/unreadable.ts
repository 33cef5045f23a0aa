import { join } from 'node:path'
import { until } from '../../support/until.ts'
import { currentOf, nameOf } from '../ledger.ts'
import type { Seeded } from '../seeded.ts'
import type { Site } from '../site.ts'
import { pidsOf, Strace } from '../strace.ts'
import { MARKER } from '../watcher.ts'
import type { World } from '../world.ts'
import { watchBacklog } from './backlog.ts'
import { type Failure, primaryFailures } from './failures.ts'
import { type Harm, sentencesOf, watchHarm } from './harm.ts'
import type { HostRoute } from './host-route.ts'
import { hasten, retried } from './retries.ts'
import { askAnew, untilJudged } from './reverify.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
/** Of which there are at least twice as many. */
const BAD_FILES = 50
/** That so many are hashed again, or all there are: of a hundred thousand it would take minutes, for each call is looked at. */
const HASHED_AGAIN = 5000
const SETTLED_WITHIN_MS = 120_000
const BACK_WITHIN_MS = 30_000
/** What waits for another attempt gets it then: nobody learns anything from that wait. */
const SOON_S = 1
/** As whoever has the file says it, and how it must not be called. */
const ITS_OWN_WORDS = /EIO|STORAGE_ERROR/
const OTHERWISE = /CORRUPT_ON_PRIMARY|MISMATCH|does not exist|FILE_MISSING|FILE_NOT_FOUND/

type Numbers = { holdSeconds: number; perSecond: number }

/** What cannot be read: some files, as on bad sectors; those and the marker of the store, as where the whole disk answers no more. */
const PARTS = ['files', 'store'] as const
type Part = (typeof PARTS)[number]

/**
 * Some files of a site cannot be read for a while (EIO), though they are there and right, and many are to be hashed again. Each is
 * known to be so, and nothing else is said of it: not that it is missing, nor that it is corrupt. A secondary fetches such a copy
 * again, as it should where a sector is bad, and no other. Where the marker cannot be read either, no file is judged: work on the
 * store pauses.
 */
export async function unreadable(
  world: World,
  routeOf: (site: Site) => HostRoute,
  size: Numbers,
  chance: Seeded,
): Promise<string[]> {
  const violations: string[] = []
  for (const site of world.sites) {
    for (const part of chance.shuffled(PARTS)) {
      const found = await ofSite(world, site, routeOf(site), part, size, chance.stream(`${site.name} ${part}`))
      violations.push(...found.map((violation) => `${site.name}, ${part} that cannot be read: ${violation}`))
    }
  }
  return violations
}

async function ofSite(
  world: World,
  site: Site,
  route: HostRoute,
  part: Part,
  { holdSeconds, perSecond }: Numbers,
  chance: Seeded,
): Promise<string[]> {
  const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }
  await world.host.load({ ...load, blobs: 2 * BAD_FILES, perSecond: 1000 }, chance.stream('before'))
  await hasten(world, SOON_S)
  const left = await world.settled(SETTLED_WITHIN_MS)
  if (left !== null) return [`before it ${left}`]
  await untilJudged(world, SETTLED_WITHIN_MS)
  const asked = chance.shuffled(world.ledger.live()).slice(0, HASHED_AGAIN)
  const bad = asked.slice(0, BAD_FILES)
  const names = new Set(bad.map(({ type, id }) => nameOf(type, id)))
  const keys = [...bad.map((record) => currentOf(record).key), ...(part === 'store' ? [MARKER] : [])]
  const harm = await watchHarm(world)
  return underLoad(world, load, chance.stream('load'), async () => {
    const violations: string[] = []
    const strace = new Strace()
    const readOf = keys.map((key) => join(site.blobsDir, key))
    let [well, ill] = [Number.NaN, Number.NaN]
    try {
      // What looks at each call of a process costs it time, whatever it answers: so before as during the fault.
      await strace.attach(pidsOf(site), { inject: null, readOf })
      violations.push(...(await askAnew(site, 'reverify', asked)))
      well = await route.p99(holdSeconds * 1000)
    } finally {
      await strace.detach()
    }
    world.history.note({ kind: 'fault', fault: 'disk', what: `${part} of ${site.name} cannot be read` })
    try {
      await strace.attach(pidsOf(site), { inject: 'error=EIO', readOf })
      const measuring = route.leastWhileBad({ idle: route.idle, well }, 'goes on', async () => {
        violations.push(...(await askAnew(site, 'reverify', asked)))
        return route.p99(holdSeconds * 1000)
      })
      // There may be so many files that it takes its time until these have their turn; what is not known then is told below.
      if (part === 'files') await until(() => areKnown(world, site, names), SETTLED_WITHIN_MS).catch(() => undefined)
      ill = await measuring
    } finally {
      await strace.detach()
      world.history.note({ kind: 'fault', fault: 'disk', what: `${site.name} is as before` })
    }
    await hasten(world, SOON_S)
    violations.push(...(await askAnew(site, 'reverify', asked)))
    const backlog = await watchBacklog(world, { perSecond, backWithinMs: BACK_WITHIN_MS })
    await untilJudged(world, SETTLED_WITHIN_MS)
    const done = await harm()
    const [example] = done.said
    world.say(
      `${site.name}, ${part} that cannot be read: ${done.said.length} times something was said${example ? `, such as ${example.text}` : ''}; ${done.fetchedAgain.length} were fetched again; ${backlog.text}`,
    )
    violations.push(...route.judge(world, `${part} that cannot be read`, { idle: route.idle, well, ill }, 'goes on'))
    const left = [...(await primaryFailures(world))].map(([name, failure]) => `it is still said of ${name}: ${failure}`)
    return [...violations, ...backlog.violations, ...judge(site, part, names, done), ...left]
  })
}

/** Whether the site says something of each of these now. */
async function areKnown(world: World, site: Site, names: ReadonlySet<string>): Promise<boolean> {
  const failures = site === world.primary ? await primaryFailures(world) : await retried(world)
  const prefix = site === world.primary ? '' : `${site.name}: `
  return [...names].every((name) => failures.has(`${prefix}${name}`))
}

function judge(site: Site, part: Part, bad: ReadonlySet<string>, { said, fetchedAgain }: Harm): string[] {
  const isBad = (one: Failure) => part === 'files' && one.site === site.name && bad.has(one.record)
  const isTold = (one: Failure) => ITS_OWN_WORDS.test(one.text) && !OTHERWISE.test(one.text)
  const violations = sentencesOf({
    said: said.filter((one) => !(isBad(one) && isTold(one))),
    fetchedAgain: fetchedAgain.filter((one) => !isBad(one)),
  })
  const known = said.filter((one) => isBad(one) && isTold(one)).length
  if (part === 'files' && known < bad.size) violations.push(`only ${known} of ${bad.size} files are known to be so`)
  return violations
}
