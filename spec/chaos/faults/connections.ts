import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import { TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import { TRICKS, type Trick } from '../mischief.ts'
import type { Seeded } from '../seeded.ts'
import { CAPACITY, type World } from '../world.ts'
import type { Fault } from './fault.ts'
import { hasten } from './retries.ts'

const KIBIBYTE = 1024
const MEBIBYTE = 1024 * KIBIBYTE
const LARGE_BYTES = 16 * MEBIBYTE
const LOOK_EVERY_MS = 100
const HEALED_WITHIN_MS = 120_000
const PLAYED_WITHIN_MS = 120_000
const HASTEN_EVERY_MS = 2000
const SOON_S = 1
const MOST_ON_THE_WIRE = 1.02
/** What else comes over the line meanwhile: reports of the status, heads. */
const OTHER_BYTES = 512 * KIBIBYTE

interface Expected {
  /** One of these, where a transfer fails for it. */
  readonly codes: readonly string[]
  /** Whether a transfer fails for it at all: a blob may go on where it was cut. */
  readonly fails: boolean
}

/** By which code each of them is known, in the registry or in the log. */
const EXPECTED: Readonly<Record<Trick, Expected>> = {
  cut: { codes: ['BODY_TRUNCATED', 'PRIMARY_UNREACHABLE'], fails: false },
  reset: { codes: ['BODY_TRUNCATED', 'PRIMARY_UNREACHABLE'], fails: false },
  truncated: { codes: ['BODY_TRUNCATED', 'PRIMARY_UNREACHABLE'], fails: false },
  tooLong: { codes: ['BODY_TOO_LONG'], fails: true },
  flipped: {
    codes: ['CHECKSUM_MISMATCH', 'INVALID_RESPONSE', 'PRIMARY_UNREACHABLE', 'VERIFICATION_MISMATCH'],
    fails: true,
  },
  drip: { codes: [], fails: false },
  wrongLength: { codes: ['BODY_TRUNCATED', 'BODY_TOO_LONG'], fails: false },
  wrongType: { codes: ['INVALID_RESPONSE'], fails: true },
  busy: { codes: ['PRIMARY_BUSY'], fails: true },
  broken: { codes: ['HTTP_STATUS'], fails: true },
  redirectLoop: { codes: ['TOO_MANY_REDIRECTS', 'HTTP_STATUS'], fails: true },
}

/** Of each of them a transfer may fail or go on; of all of them together some must. */
const SHORTENED: readonly Trick[] = ['cut', 'reset', 'truncated', 'wrongLength']

type Numbers = { times: number; blobs: number; largeBlobs: number; cuts: number }

export const connections: Fault<Numbers> = {
  name: 'connections',
  title: `each of ${Object.keys(TRICKS).join(', ')}; then all but flipped at once; then blobs of 16 MiB that are cut again and again`,
  full: { times: 20, blobs: 2000, largeBlobs: 16, cuts: 80 },
  least: { times: 3, blobs: 100, largeBlobs: 4, cuts: 12 },
  async run(world, { times, blobs, largeBlobs, cuts }, chance) {
    const violations: string[] = []
    try {
      const codes = new Set<string>()
      for (const trick of Object.keys(TRICKS) as Trick[]) {
        const found = await alone(world, trick, times, chance.stream(trick))
        violations.push(...found.violations)
        if (SHORTENED.includes(trick)) for (const code of found.codes) codes.add(code)
      }
      if (codes.size === 0) violations.push(`of ${SHORTENED.join(', ')} not one transfer failed`)
      violations.push(...(await mixed(world, blobs, chance.stream('mixed'))))
      violations.push(...(await resumed(world, largeBlobs, cuts, chance.stream('resumed'))))
    } finally {
      world.front.order({ type: 'mischief', plan: null })
    }
    return violations
  },
}

/**
 * Other bytes of the right length are told from the right ones by a checksum alone: a blob is kept out of its place only where the
 * primary's is known already. So nothing is fetched before it is.
 */
async function withChecksums(world: World, act: () => Promise<void>): Promise<void> {
  await world.setCapacity(0)
  try {
    await act()
    const unknown = `select 1 from widgets w left join widget_states s on s.widget_id = w.id where s.verification_checksum is null
      union all select 1 from gadgets where verification_checksum is null`
    for (const { replica } of world.databases.secondaries) {
      await until(async () => (await rowsOf(replica.url, unknown)).length === 0, HEALED_WITHIN_MS)
    }
  } finally {
    await world.setCapacity(CAPACITY)
  }
}

/** Small blobs, of which many share a request, and large ones, which have one of their own. */
async function publish(world: World, count: number, chance: Seeded): Promise<void> {
  const load = { blobs: count, perSecond: 1000, leastBytes: KIBIBYTE, mostBytes: 4 * MEBIBYTE }
  await world.host.load(load, chance)
}

/** What has failed is tried again after half a minute, or two; nobody learns anything from that wait, so its end is brought nearer. */
async function healed(world: World): Promise<string | null> {
  const deadline = performance.now() + HEALED_WITHIN_MS
  for (;;) {
    await hasten(world, SOON_S)
    const left = await world.settled(HASTEN_EVERY_MS)
    if (left === null || performance.now() > deadline) return left
  }
}

/** Has the front do that to each transfer, so many times, and gives it so many: one request may be for many blobs. */
async function play(
  world: World,
  plan: { readonly trick: Trick; readonly times: number; readonly seed: string },
  give: () => Promise<void>,
): Promise<{ left: string | null; played: number }> {
  const { trick, times, seed } = plan
  const deadline = performance.now() + PLAYED_WITHIN_MS
  world.front.order({ type: 'reset' })
  world.front.order({ type: 'mischief', plan: { seed, tricks: [trick], perThousand: 1000, most: times } })
  try {
    for (;;) {
      await give()
      const left = await healed(world)
      const played = (await world.front.figures()).played[trick] ?? 0
      if (left !== null || played >= times || performance.now() > deadline) return { left, played }
    }
  } finally {
    world.front.order({ type: 'mischief', plan: null })
  }
}

/** What it found, and how often a transfer failed with a code. */
async function alone(
  world: World,
  trick: Trick,
  times: number,
  chance: Seeded,
): Promise<{ violations: string[]; codes: ReadonlySet<string> }> {
  const codes = watchCodes(world)
  const some = () => publish(world, 2 * times, chance)
  const give = trick === 'flipped' ? () => withChecksums(world, some) : some
  const { left, played } = await play(world, { trick, times, seed: String(chance.next()) }, give)
  const { seen, untyped } = await codes()
  world.say(`${trick} ${played} times: ${[...seen].join(', ') || 'no failure'}`)
  const violations = untyped.map((failure) => `${trick}: a failure without a code: ${failure}`)
  if (left !== null) violations.push(`${trick}: ${left} after ${HEALED_WITHIN_MS / 1000} s`)
  const { codes: expected, fails } = EXPECTED[trick]
  for (const code of seen)
    if (!expected.includes(code))
      violations.push(`${trick} is called ${code}; expected ${expected.join(' or ') || 'no failure'}`)
  if (fails && seen.size === 0) violations.push(`${trick} was played ${played} times, and nothing is said of it`)
  if (played < times) violations.push(`${trick} was played ${played} times of ${times}`)
  return { violations, codes: seen }
}

async function mixed(world: World, blobs: number, chance: Seeded): Promise<string[]> {
  const codes = watchCodes(world)
  const tricks = (Object.keys(TRICKS) as Trick[]).filter((trick) => trick !== 'flipped')
  const plan = { seed: String(chance.next()), tricks, perThousand: 300, most: Number.MAX_SAFE_INTEGER }
  world.front.order({ type: 'reset' })
  world.front.order({ type: 'mischief', plan })
  await publish(world, blobs, chance)
  const left = await healed(world)
  world.front.order({ type: 'mischief', plan: null })
  const { seen, untyped } = await codes()
  world.say(`all at once: ${JSON.stringify((await world.front.figures()).played)}: ${[...seen].join(', ')}`)
  const lost = left === null ? [] : [`with three of ten transfers spoiled ${left}`]
  return [...lost, ...untyped.map((failure) => `a failure without a code: ${failure}`)]
}

async function resumed(world: World, blobs: number, cuts: number, chance: Seeded): Promise<string[]> {
  const left = await healed(world)
  if (left !== null) return [`before the large blobs ${left}`]
  let given = 0
  const plan = { trick: 'cut', times: cuts, seed: String(chance.next()) } as const
  const { left: stuck, played } = await play(world, plan, async () => {
    given += blobs
    await world.host.load({ blobs, perSecond: 100, leastBytes: LARGE_BYTES, mostBytes: LARGE_BYTES }, chance)
  })
  // What a connection has sent is counted at its end, or soon.
  await sleep(1000)
  const { bytesSent } = await world.front.figures()
  const bytes = given * LARGE_BYTES
  const share = bytesSent / bytes
  world.say(`${given} blobs of 16 MiB, cut ${played} times: ${share.toFixed(4)} of their bytes on the wire`)
  const violations = stuck === null ? [] : [`large blobs that were cut: ${stuck}`]
  if (played < cuts) violations.push(`large blobs were cut ${played} times of ${cuts}`)
  if (bytesSent > MOST_ON_THE_WIRE * bytes + OTHER_BYTES)
    violations.push(`${bytesSent} bytes were sent for ${bytes} bytes of blobs that were cut ${played} times`)
  return violations
}

/** The codes that failures have from now on until it is called, in registries and logs, and those failures that have none. */
function watchCodes(world: World): () => Promise<{ seen: Set<string>; untyped: string[] }> {
  const seen = new Set<string>()
  const untyped = new Set<string>()
  const members = world.secondaries.flatMap((site) => site.members)
  const from = new Map(members.map((member) => [member, member.output.length]))
  let ended = false
  const watching = (async () => {
    while (!ended) {
      for (const { code, failure } of await failures(world)) {
        if (code === null) untyped.add(failure)
        else seen.add(code)
      }
      await sleep(LOOK_EVERY_MS)
    }
  })()
  return async () => {
    ended = true
    await watching
    for (const [member, start] of from) {
      for (const line of member.output.slice(start).split('\n')) {
        // What periodic jobs meet meanwhile is no transfer.
        const [, code] = line.includes('"job":') ? [] : (/"code":"([A-Z_]+)"/.exec(line) ?? [])
        if (code) seen.add(code)
      }
    }
    return { seen, untyped: [...untyped] }
  }
}

async function failures({ databases }: World): Promise<{ code: string | null; failure: string }[]> {
  const found: { code: string | null; failure: string }[] = []
  for (const { tracking } of databases.secondaries) {
    for (const type of TYPE_NAMES) {
      const failure = 'coalesce(last_sync_failure, verification_failure)'
      const statement = `select distinct error_code as code, ${failure} as failure from ${TYPES[type].registry} where ${failure} is not null`
      found.push(...(await rowsOf<{ code: string | null; failure: string }>(tracking.url, statement)))
    }
  }
  return found
}
