import { join } from 'node:path'
import { until } from '../../support/until.ts'
import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import { hashOf } from '../hash-of.ts'
import { currentOf, type KnownRecord, nameOf } from '../ledger.ts'
import type { Seeded } from '../seeded.ts'
import type { Site } from '../site.ts'
import { ifThere } from '../watcher.ts'
import type { World } from '../world.ts'
import { copiesOf, fetchedAgain } from './copies.ts'
import { primaryFailures } from './failures.ts'
import type { Fault } from './fault.ts'
import { askAnew, reverify, untilJudged } from './reverify.ts'
import { KINDS, type Kind, spoil } from './spoil.ts'

const LEAST_BYTES = 64
const MOST_BYTES = 64 * 1024
const CYCLE_MS = 300_000
const ASKED_ANEW = 4

type Numbers = { blobs: number; perKind: number }

export const rot: Fault<Numbers> = {
  name: 'rot',
  title: 'files rot where they lie, on the secondary and then on the primary: flipped, cut, zeroed, removed',
  full: { blobs: 10_000, perKind: 100 },
  least: { blobs: 400, perKind: 4 },
  async run(world, { blobs, perKind }, chance) {
    const missing = Math.max(0, blobs - world.ledger.liveCount)
    const load = { blobs: missing, perSecond: 1000, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }
    await world.host.load(load, chance.stream('load'))
    const left = await world.settled(CYCLE_MS)
    if (left !== null) return [`nothing is damaged yet, and ${left}`]
    const violations: string[] = []
    for (const [at, site] of world.secondaries.entries())
      violations.push(...(await onSecondary(world, site, at, perKind, chance.stream(site.name))))
    violations.push(...(await onPrimary(world, perKind, chance.stream(world.primary.name))))
    return violations
  },
}

interface Damage {
  readonly record: KnownRecord
  readonly kind: Kind
}

/** By the names of the records. */
async function spoilSome(world: World, site: Site, perKind: number, chance: Seeded): Promise<Map<string, Damage>> {
  const chosen = chance.shuffled(world.ledger.live()).slice(0, KINDS.length * perKind)
  const done = new Map<string, Damage>()
  for (const [at, record] of chosen.entries()) {
    const kind = KINDS[at % KINDS.length] ?? 'flipped'
    await spoil(join(site.blobsDir, currentOf(record).key), kind, chance, (damage) => world.history.note(damage))
    done.set(nameOf(record.type, record.id), { record, kind })
  }
  return done
}

async function onSecondary(world: World, site: Site, at: number, perKind: number, chance: Seeded): Promise<string[]> {
  const before = await copiesOf(world, at)
  const damages = await spoilSome(world, site, perKind, chance)
  const beganMs = performance.now()
  const violations = await reverify(site)
  const left = await world.settled(CYCLE_MS)
  if (left !== null) violations.push(`${site.name}: one cycle after its files were damaged ${left}`)
  const seconds = (performance.now() - beganMs) / 1000
  const after = await copiesOf(world, at)
  let found = 0
  const again = fetchedAgain(world.ledger, before, after)
  for (const [name, { kind }] of damages) {
    if (again.has(name)) found += 1
    else violations.push(`${site.name}: ${name} was ${kind}, and that was not found`)
  }
  for (const [name, sentence] of again) if (!damages.has(name)) violations.push(`${site.name}: ${sentence}`)
  for (const { record, kind } of damages.values()) {
    const wrong = await wrongBytes(site, record)
    if (wrong) violations.push(`${site.name}: ${wrong}, a cycle after it was ${kind}`)
  }
  world.say(
    `${site.name}: of ${after.size} copies ${damages.size} were damaged, ${found} found and healed in ${seconds.toFixed(1)} s`,
  )
  return violations
}

async function onPrimary(world: World, perKind: number, chance: Seeded): Promise<string[]> {
  const { primary, secondaries } = world
  const damages = await spoilSome(world, primary, perKind, chance)
  const beganMs = performance.now()
  const violations = await reverify(primary)
  await untilJudged(world, CYCLE_MS)
  const seconds = (performance.now() - beganMs) / 1000
  const reported = await primaryFailures(world)
  for (const [name, { kind }] of damages) {
    const failure = reported.get(name)
    const expected = kind === 'removed' ? /file does not exist at: / : /^CORRUPT_ON_PRIMARY: /
    if (failure === undefined) violations.push(`${name} was ${kind} on the primary, and that was not found`)
    else if (!expected.test(failure)) violations.push(`${name} was ${kind} on the primary, which is called: ${failure}`)
  }
  for (const [name, failure] of reported)
    if (!damages.has(name)) violations.push(`${name} is whole on the primary, and is reported: ${failure}`)
  world.say(`${primary.name}: ${damages.size} files were damaged, ${reported.size} reported in ${seconds.toFixed(1)} s`)
  violations.push(...(await hardPressed(world, damages)))

  const repaired = await primary.command(['repair', '--json'])
  if (repaired.exitCode !== 0)
    violations.push(`geo repair ended with ${repaired.exitCode}: ${unrepaired(repaired.output)}${repaired.complaints}`)
  for (const { record, kind } of damages.values()) {
    for (const site of [primary, ...secondaries]) {
      const wrong = await wrongBytes(site, record)
      if (wrong) violations.push(`${site.name}: ${wrong}, after geo repair of what was ${kind} on the primary`)
    }
  }
  await untilJudged(world, CYCLE_MS)
  for (const [name, failure] of await primaryFailures(world)) violations.push(`${name} is still reported: ${failure}`)
  return violations
}

/** While the primary's files are bad: the secondaries' copies are hashed again, and those of the damaged are asked for anew. */
async function hardPressed(world: World, damages: ReadonlyMap<string, Damage>): Promise<string[]> {
  const violations: string[] = []
  const anew = new Map([...damages].slice(0, ASKED_ANEW))
  for (const [at, site] of world.secondaries.entries()) {
    // Whoever has read of the damage may well ask for these copies again, which would bring the bad bytes over.
    const records = [...anew.values()].map(({ record }) => record)
    violations.push(...(await reverify(site)), ...(await askAnew(site, 'resync', records)))
    await until(
      async () => (await unfinished(world, at)).every((name) => anew.has(name)),
      CYCLE_MS,
      `${site.name} to hash its copies again`,
    )
    for (const { record, kind } of damages.values()) {
      const wrong = await wrongBytes(site, record)
      if (wrong) violations.push(`${site.name}: ${wrong}, while it is ${kind} on the primary`)
    }
  }
  return violations
}

async function wrongBytes({ blobsDir }: Site, record: KnownRecord): Promise<string | null> {
  const { key, sha256 } = currentOf(record)
  const file = await ifThere(() => hashOf(join(blobsDir, key)))
  if (file?.sha256 === sha256) return null
  return `${nameOf(record.type, record.id)} has ${file ? 'other bytes' : 'no file'} at ${key}`
}

/** Rows of which anything is still to be done. */
async function unfinished({ databases }: World, at: number): Promise<string[]> {
  const found: string[] = []
  for (const type of TYPE_NAMES) {
    const { registry, key } = TYPES[type]
    const rows = await rowsOf<{ id: string }>(
      databases.secondaries[at]?.tracking.url ?? '',
      `select ${key}::text as id from ${registry} where state <> ${SYNCED} or verification_state <> ${VERIFIED}`,
    )
    found.push(...rows.map(({ id }) => nameOf(type, id)))
  }
  return found
}

function unrepaired(output: string): string {
  interface Result {
    readonly type: string
    readonly records: readonly { readonly id: string; readonly outcome: string; readonly reasons: readonly unknown[] }[]
  }
  const results = JSON.parse(output) as readonly Result[]
  const left = results.flatMap(({ type, records }) =>
    records.filter(({ outcome }) => outcome !== 'repaired').map((record) => ({ type, ...record })),
  )
  return JSON.stringify(left.slice(0, 5))
}
