import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hashOf } from '../hash-of.ts'
import { currentOf } from '../ledger.ts'
import { type Seeded, seededBytes } from '../seeded.ts'
import type { Site } from '../site.ts'
import { filesBelow, MARKER } from '../watcher.ts'
import { CAPACITY, type World } from '../world.ts'
import { backlogOf, watchBacklog } from './backlog.ts'
import { primaryFailures } from './failures.ts'
import type { Fault } from './fault.ts'
import { sentencesOf, watchHarm } from './harm.ts'
import { HealthWatch } from './health-watch.ts'
import { reverify, untilJudged } from './reverify.ts'
import { storm } from './storm.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 256 * 1024
const NOTED_WITHIN_MS = 15_000
const BACK_WITHIN_MS = 30_000
const CAUGHT_UP_WITHIN_MS = 120_000
const BETWEEN_MS = 3000
const OTHERS_FILES = 20

type Numbers = { outages: number; outageSeconds: number; perSecond: number }

/** What lies where the volume was: nothing, as below a mount; an older disk of the same site; that of another one. */
const INSTEAD = ['nothing', 'olderDisk', 'foreignDisk'] as const
type Instead = (typeof INSTEAD)[number]

export const volume: Fault<Numbers> = {
  name: 'volume',
  title: "a store's volume goes away and comes back, with nothing or another disk in its place, while blobs arrive",
  full: { outages: 1, outageSeconds: 20, perSecond: 50 },
  least: { outages: 1, outageSeconds: 8, perSecond: 20 },
  async run(world, size, chance) {
    const why = await world.mounts.impossible()
    world.say(why === null ? 'volumes are mounted' : `folders are renamed, for mounts are not possible here: ${why}`)
    const violations: string[] = []
    for (let number = 1; number <= size.outages; number += 1) {
      for (const instead of chance.shuffled(INSTEAD)) {
        for (const site of world.secondaries) {
          const found = await ofSecondary(
            world,
            site,
            instead,
            size,
            chance.stream(`${number} ${instead} ${site.name}`),
          )
          violations.push(...found.map((violation) => `${instead} in place of ${site.name}'s volume: ${violation}`))
        }
        const found = await ofPrimary(world, instead, size, chance.stream(`${number} ${instead}`))
        violations.push(...found.map((violation) => `${instead} in place of the primary's volume: ${violation}`))
      }
    }
    return violations
  },
}

async function ofSecondary(
  world: World,
  site: Site,
  instead: Instead,
  { outageSeconds, perSecond }: Numbers,
  chance: Seeded,
): Promise<string[]> {
  const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES, replaced: 10, deleted: 10 }
  return underLoad(world, load, chance.stream('load'), async () => {
    // Not at the same moment of anything each time.
    await sleep(BETWEEN_MS + chance.between(0, 1000))
    return harmless(world, perSecond, () => away(world, site, instead, chance, () => sleep(outageSeconds * 1000)))
  })
}

/** The host writes nothing meanwhile, for its files would lie on the other volume; the secondaries ask for what they lack. */
async function ofPrimary(
  world: World,
  instead: Instead,
  { outageSeconds, perSecond }: Numbers,
  chance: Seeded,
): Promise<string[]> {
  const left = await world.settled(CAUGHT_UP_WITHIN_MS)
  if (left !== null) return [`before it ${left}`]
  const load = { blobs: perSecond * 10, perSecond: 1000, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }
  try {
    await world.setCapacity(0)
    await world.host.load(load, chance.stream('load'))
    const waiting = await backlogOf(world)
    world.say(`${waiting} blobs are still to be fetched`)
    const violations = await harmless(world, perSecond, async () => {
      let stormed: string[] = []
      const found = await away(world, world.primary, instead, chance, async () => {
        await world.setCapacity(CAPACITY)
        stormed = await requestsDuring(world, outageSeconds)
      })
      await untilJudged(world, CAUGHT_UP_WITHIN_MS)
      return [...found, ...stormed]
    })
    if (waiting < load.blobs) violations.push(`of ${load.blobs} blobs only ${waiting} were still to be fetched`)
    const failed = await primaryFailures(world)
    return [...violations, ...[...failed].map(([name, failure]) => `the primary says of ${name}: ${failure}`)]
  } finally {
    await world.setCapacity(CAPACITY)
  }
}

/** A primary that answers that its store is away is not asked over and over. */
async function requestsDuring({ front, say }: World, seconds: number): Promise<string[]> {
  front.order({ type: 'reset' })
  await sleep(seconds * 1000)
  const { requests } = await front.figures()
  const when = `in ${seconds} s while its store was away`
  say(`${requests} requests came ${when}`)
  return storm(requests, seconds, when)
}

/** Afterwards all that arrived is made up for, and nothing was ever said against a file or a copy, nor fetched again. */
async function harmless(world: World, perSecond: number, act: () => Promise<string[]>): Promise<string[]> {
  const harm = await watchHarm(world)
  const violations = await act()
  violations.push(...(await caughtUp(world, perSecond)))
  return [...violations, ...sentencesOf(await harm())]
}

async function caughtUp(world: World, perSecond: number): Promise<string[]> {
  const limits = { perSecond, backWithinMs: BACK_WITHIN_MS }
  const { text, violations } = await watchBacklog(world, limits)
  world.say(text)
  return [...violations]
}

/** Something else lies in place of the site's store while `meanwhile` lasts. */
async function away(
  world: World,
  site: Site,
  instead: Instead,
  chance: Seeded,
  meanwhile: () => Promise<void>,
): Promise<string[]> {
  const violations: string[] = []
  const other = join(world.folder, 'sites', site.name, `other-${randomUUID()}`)
  await fill(world, site, other, instead, chance)
  const before = await contents(other)
  const watch = new HealthWatch(world, site)
  world.history.note({ kind: 'fault', fault: 'volume', what: `${instead} in place of the volume of ${site.name}` })
  // Some are being hashed when it goes, where there are many, and all are to be while it is away.
  violations.push(...(await reverify(site)))
  const putBack = await replace(world, site, other)
  site.storeBroke.push(Date.now())
  const beganMs = performance.now()
  try {
    const said = await watch.hears('STORE_NOT_MOUNTED', NOTED_WITHIN_MS)
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1)
    if (said === null) violations.push(`no STORE_NOT_MOUNTED in the health of ${site.name} for ${seconds} s`)
    else world.say(`after ${seconds} s: ${said}`)
    violations.push(...(await reverify(site)))
    await meanwhile()
  } finally {
    await putBack()
    world.history.note({ kind: 'fault', fault: 'volume', what: `the volume of ${site.name} is back` })
  }
  const still = await watch.recovers(['STORE_NOT_MOUNTED'], BACK_WITHIN_MS)
  if (still !== null) violations.push(`${site.name} is not well again: ${still}`)
  await watch.close()
  const after = await contents(other)
  for (const [key, sha256] of before)
    if (after.get(key) !== sha256) violations.push(`${key} was changed or removed there`)
  for (const key of after.keys()) if (!before.has(key)) violations.push(`${key} was written there`)
  await rm(other, { recursive: true })
  return violations
}

async function fill(world: World, site: Site, folder: string, instead: Instead, chance: Seeded): Promise<void> {
  await mkdir(folder, { recursive: true })
  if (instead === 'nothing') return
  const marker = { site: instead === 'olderDisk' ? site.name : 'osaka', store: randomUUID() }
  await writeFile(join(folder, MARKER), `${JSON.stringify(marker)}\n`)
  for (const record of chance.shuffled(world.ledger.records).slice(0, OTHERS_FILES)) {
    const { key } = currentOf(record)
    await mkdir(dirname(join(folder, key)), { recursive: true })
    await writeFile(join(folder, key), seededBytes(`other ${key}`, LEAST_BYTES))
  }
}

/** Under final names only: what was on its way to its place is nobody's loss. */
async function contents(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const key of await filesBelow(folder)) found.set(key, (await hashOf(join(folder, key))).sha256)
  return found
}

async function replace({ mounts }: World, { blobsDir }: Site, other: string): Promise<() => Promise<void>> {
  if ((await mounts.impossible()) === null) {
    await mounts.over(blobsDir, ['--bind', other])
    return () => mounts.off(blobsDir)
  }
  const aside = `${blobsDir}.away`
  await rename(blobsDir, aside)
  await rename(other, blobsDir)
  return async () => {
    await rename(blobsDir, other)
    await rename(aside, blobsDir)
  }
}
