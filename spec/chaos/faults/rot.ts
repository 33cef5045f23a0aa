import { open, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { until } from '../../support/until.ts'
import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import { hashOf } from '../hash-of.ts'
import { currentOf, type KnownRecord, nameOf } from '../ledger.ts'
import type { Seeded } from '../seeded.ts'
import type { Site } from '../site.ts'
import { ifThere, OWN_PREFIX } from '../watcher.ts'
import type { World } from '../world.ts'
import type { Fault } from './fault.ts'

const LEAST_BYTES = 64
const MOST_BYTES = 64 * 1024
const CYCLE_MS = 300_000
const ASKED_ANEW = 4

type Kind = keyof typeof SPOIL
type Numbers = { blobs: number; perKind: number }

export const rot: Fault<Numbers> = {
  name: 'rot',
  title: 'files rot where they lie, on the secondary and then on the primary: flipped, cut, zeroed, removed',
  full: { blobs: 10_000, perKind: 100 },
  least: { blobs: 400, perKind: 4 },
  async run(world, { blobs, perKind }, chance) {
    const missing = Math.max(0, blobs - world.ledger.live().length)
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

/** What becomes of a file. Each leaves its times as they were: nobody is told. */
const SPOIL = {
  async flipped(path: string, chance: Seeded) {
    const file = await open(path, 'r+')
    try {
      const { size } = await file.stat()
      const at = chance.below(size)
      const byte = Buffer.alloc(1)
      await file.read(byte, 0, 1, at)
      byte.writeUInt8(byte.readUInt8(0) ^ (1 << chance.below(8)))
      await file.write(byte, 0, 1, at)
    } finally {
      await file.close()
    }
  },
  async truncated(path: string, chance: Seeded) {
    await truncate(path, chance.below((await stat(path)).size))
  },
  async zeroed(path: string) {
    // In one step: half of the zeros would be bytes that nobody has written down.
    const draft = join(dirname(path), `${OWN_PREFIX}zeroed`)
    await writeFile(draft, Buffer.alloc((await stat(path)).size))
    await rename(draft, path)
  },
  async removed(path: string) {
    await rm(path)
  },
} as const satisfies Record<string, (path: string, chance: Seeded) => Promise<void>>
const KINDS = Object.keys(SPOIL) as Kind[]

interface Damage {
  readonly record: KnownRecord
  readonly kind: Kind
  /** Of the bytes that are there now; null: nothing is. */
  readonly sha256: string | null
}

/** By the names of the records. */
async function spoil(world: World, site: Site, perKind: number, chance: Seeded): Promise<Map<string, Damage>> {
  const chosen = chance.shuffled(world.ledger.live()).slice(0, KINDS.length * perKind)
  const done = new Map<string, Damage>()
  for (const [at, record] of chosen.entries()) {
    const kind = KINDS[at % KINDS.length] ?? 'flipped'
    const path = join(site.blobsDir, currentOf(record).key)
    const { atime, mtime } = await stat(path)
    await SPOIL[kind](path, chance)
    if (kind !== 'removed') await utimes(path, atime, mtime)
    const sha256 = (await ifThere(() => hashOf(path)))?.sha256 ?? null
    world.history.note({ kind: 'damaged', path, sha256 })
    done.set(nameOf(record.type, record.id), { record, kind, sha256 })
  }
  return done
}

async function onSecondary(world: World, site: Site, at: number, perKind: number, chance: Seeded): Promise<string[]> {
  const before = await fetchedAt(world, at)
  const damages = await spoil(world, site, perKind, chance)
  const beganMs = performance.now()
  const violations = await reverify(site)
  const left = await world.settled(CYCLE_MS)
  if (left !== null) violations.push(`${site.name}: one cycle after its files were damaged ${left}`)
  const seconds = (performance.now() - beganMs) / 1000
  const after = await fetchedAt(world, at)
  let found = 0
  for (const [name, fetched] of after) {
    const damage = damages.get(name)
    const isFetched = fetched !== before.get(name)
    if (damage && isFetched) found += 1
    if (damage && !isFetched) violations.push(`${site.name}: ${name} was ${damage.kind}, and that was not found`)
    if (!damage && isFetched) violations.push(`${site.name}: ${name} was whole, and was fetched again`)
  }
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
  const damages = await spoil(world, primary, perKind, chance)
  const beganMs = performance.now()
  const violations = await reverify(primary)
  const unjudged = `select 1 from widget_states where verification_state in (0, 1)
    union all select 1 from gadgets where verification_state in (0, 1)`
  await until(async () => (await rowsOf(world.databases.primary.url, unjudged)).length === 0, CYCLE_MS, 'the primary')
  const seconds = (performance.now() - beganMs) / 1000
  const reported = await failures(world)
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
  await until(async () => (await rowsOf(world.databases.primary.url, unjudged)).length === 0, CYCLE_MS, 'the primary')
  for (const [name, failure] of await failures(world)) violations.push(`${name} is still reported: ${failure}`)
  return violations
}

/** While the primary's files are bad: the secondaries' copies are hashed again, and those of the damaged are asked for anew. */
async function hardPressed(world: World, damages: ReadonlyMap<string, Damage>): Promise<string[]> {
  const violations: string[] = []
  const anew = new Map([...damages].slice(0, ASKED_ANEW))
  for (const [at, site] of world.secondaries.entries()) {
    violations.push(...(await reverify(site)), ...(await resync(site, [...anew.values()])))
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

/** Whoever has read of the damage may well ask for these copies again, which would bring the bad bytes over. */
async function resync(site: Site, damages: readonly Damage[]): Promise<string[]> {
  const violations: string[] = []
  for (const [table, some] of Map.groupBy(damages, ({ record }) => record.type)) {
    const ids = some.flatMap(({ record }) => ['--id', record.id])
    const { exitCode, complaints } = await site.command(['resync', table.slice(0, -1), ...ids])
    if (exitCode !== 0) violations.push(`${site.name}: geo resync ${table} ended with ${exitCode}: ${complaints}`)
  }
  return violations
}

async function reverify(site: Site): Promise<string[]> {
  const { exitCode, complaints } = await site.command(['reverify', '--all'])
  return exitCode === 0 ? [] : [`${site.name}: geo reverify --all ended with ${exitCode}: ${complaints}`]
}

async function wrongBytes({ blobsDir }: Site, record: KnownRecord): Promise<string | null> {
  const { key, sha256 } = currentOf(record)
  const file = await ifThere(() => hashOf(join(blobsDir, key)))
  if (file?.sha256 === sha256) return null
  return `${nameOf(record.type, record.id)} has ${file ? 'other bytes' : 'no file'} at ${key}`
}

/** When each copy came, by the name of its record. */
async function fetchedAt({ databases }: World, at: number): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const url = databases.secondaries[at]?.tracking.url ?? ''
  for (const type of TYPE_NAMES) {
    const { registry, key } = TYPES[type]
    const rows = await rowsOf<{ id: string; fetched: string }>(
      url,
      `select ${key}::text as id, last_synced_at::text as fetched from ${registry}`,
    )
    for (const { id, fetched } of rows) found.set(nameOf(type, id), fetched)
  }
  return found
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

/** What the primary says of its own files, by the name of the record. */
async function failures({ databases }: World): Promise<Map<string, string>> {
  const rows = await rowsOf<{ name: string; failure: string }>(
    databases.primary.url,
    `select 'widgets/' || widget_id as name, verification_failure as failure from widget_states
       where verification_failure is not null or verification_state = 3
     union all select 'gadgets/' || id, verification_failure from gadgets
       where verification_failure is not null or verification_state = 3`,
  )
  return new Map(rows.map(({ name, failure }) => [name, failure]))
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
