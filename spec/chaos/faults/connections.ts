import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import { rowsOf } from '../databases.ts'
import type { FrontFigures } from '../front.ts'
import { type MischiefPlan, TRICKS, type Trick } from '../mischief.ts'
import type { Seeded } from '../seeded.ts'
import { CAPACITY, type World } from '../world.ts'
import { watchCodes } from './codes-seen.ts'
import type { Fault } from './fault.ts'
import { hasten } from './retries.ts'
import { EXPECTED, type Expected, judgePlayed, judgeResumed } from './spoiled-answers.ts'

const KIBIBYTE = 1024
const MEBIBYTE = 1024 * KIBIBYTE
const LARGE_BYTES = 16 * MEBIBYTE
const HEALED_WITHIN_MS = 120_000
const PLAYED_WITHIN_MS = 120_000
const HASTEN_EVERY_MS = 2000
const SOON_S = 1
/** So that no other transfer is answered meanwhile, by which a cut would be called past before anybody has heard of it. */
const ONE_AT_A_TIME = 1

/** Small blobs share a request, and large ones have one of their own. */
const SIZES = {
  many: { leastBytes: KIBIBYTE, mostBytes: 128 * KIBIBYTE },
  one: { leastBytes: 512 * KIBIBYTE, mostBytes: 4 * MEBIBYTE },
  any: { leastBytes: KIBIBYTE, mostBytes: 4 * MEBIBYTE },
}

const TRICK_NAMES = Object.keys(TRICKS) as Trick[]
/** What large blobs go on after. */
const CUTS = ['cut', 'truncated', 'reset'] as const

type Numbers = { times: number; blobs: number; largeBlobs: number; cuts: number }

export const connections: Fault<Numbers> = {
  name: 'connections',
  title: `each of ${TRICK_NAMES.join(', ')}; then all but flipped at once; then blobs of 16 MiB that are cut again and again`,
  full: { times: 20, blobs: 2000, largeBlobs: 16, cuts: 80 },
  least: { times: 3, blobs: 100, largeBlobs: 4, cuts: 12 },
  async run(world, { times, blobs, largeBlobs, cuts }, chance) {
    const violations: string[] = []
    const each = TRICK_NAMES.flatMap((trick) => EXPECTED[trick].map((expected) => ({ trick, expected })))
    const [ofMany = [], others = []] = [true, false].map((isOfMany) =>
      each.filter(({ expected }) => (expected.only === 'many') === isOfMany),
    )
    try {
      for (const [capacity, some] of [
        [ONE_AT_A_TIME, ofMany],
        [CAPACITY, others],
      ] as const) {
        await world.setCapacity(capacity)
        for (const { trick, expected } of some) {
          const stream = chance.stream(`${trick} ${expected.only ?? ''}`)
          violations.push(...(await alone(world, { trick, expected, times, capacity }, stream)))
        }
      }
      violations.push(...(await mixed(world, blobs, chance.stream('mixed'))))
      for (const how of CUTS)
        violations.push(...(await resumed(world, how, largeBlobs, cuts, chance.stream(`resumed ${how}`))))
    } finally {
      world.front.order({ type: 'mischief', plan: null })
      await world.setCapacity(CAPACITY)
    }
    return violations
  },
}

/**
 * Other bytes of the right length are told from the right ones by a checksum alone: a blob is kept out of its place only where the
 * primary's is known already. So nothing is fetched before it is.
 */
async function withChecksums(world: World, capacity: number, act: () => Promise<void>): Promise<void> {
  await world.setCapacity(0)
  try {
    await act()
    const unknown = `select 1 from widgets w left join widget_states s on s.widget_id = w.id where s.verification_checksum is null
      union all select 1 from gadgets where verification_checksum is null`
    for (const { replica } of world.databases.secondaries) {
      await until(async () => (await rowsOf(replica.url, unknown)).length === 0, HEALED_WITHIN_MS)
    }
  } finally {
    await world.setCapacity(capacity)
  }
}

async function publish(world: World, count: number, of: keyof typeof SIZES, chance: Seeded): Promise<void> {
  await world.host.load({ blobs: count, perSecond: 1000, ...SIZES[of] }, chance)
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

interface Play {
  readonly trick: Trick
  readonly only: MischiefPlan['only']
  readonly times: number
  readonly seed: string
}

/** Has the front do that to each transfer, so many times, and gives it so many: one request may be for many blobs. */
async function play(
  world: World,
  { trick, only, times, seed }: Play,
  give: () => Promise<void>,
): Promise<{ left: string | null; played: number; ones: FrontFigures['ones'] }> {
  const deadline = performance.now() + PLAYED_WITHIN_MS
  const plan = { seed, tricks: [trick], perThousand: 1000, most: times, ...(only && { only }) }
  world.front.order({ type: 'reset' })
  world.front.order({ type: 'mischief', plan })
  try {
    for (;;) {
      await give()
      const left = await healed(world)
      const { ones, played } = await world.front.figures()
      const count = played[trick] ?? 0
      if (left !== null || count >= times || performance.now() > deadline) return { left, played: count, ones }
    }
  } finally {
    world.front.order({ type: 'mischief', plan: null })
  }
}

interface Alone {
  readonly trick: Trick
  readonly expected: Expected
  readonly times: number
  readonly capacity: number
}

async function alone(world: World, { trick, expected, times, capacity }: Alone, chance: Seeded): Promise<string[]> {
  const { only } = expected
  const codes = watchCodes(world)
  const some = () => publish(world, 2 * times, only ?? 'any', chance)
  const give = trick === 'flipped' ? () => withChecksums(world, capacity, some) : some
  const { left, played, ones } = await play(world, { trick, only, times, seed: String(chance.next()) }, give)
  const { seen, untyped } = await codes()
  const goneOn = expected.goesOn ? `, ${ones.goneOn} requests went on` : ''
  world.say(`${trick}${only ? ` of ${only}` : ''} ${played} times: ${[...seen].join(', ') || 'no failure'}${goneOn}`)
  const violations = judgePlayed(trick, expected, { times, played, seen, untyped, goneOn: ones.goneOn })
  return left === null ? violations : [...violations, `${trick}: ${left} after ${HEALED_WITHIN_MS / 1000} s`]
}

async function mixed(world: World, blobs: number, chance: Seeded): Promise<string[]> {
  const codes = watchCodes(world)
  const tricks = TRICK_NAMES.filter((trick) => trick !== 'flipped')
  const plan = { seed: String(chance.next()), tricks, perThousand: 300, most: Number.MAX_SAFE_INTEGER }
  world.front.order({ type: 'reset' })
  world.front.order({ type: 'mischief', plan })
  await publish(world, blobs, 'any', chance)
  const left = await healed(world)
  world.front.order({ type: 'mischief', plan: null })
  const { seen, untyped } = await codes()
  world.say(`all at once: ${JSON.stringify((await world.front.figures()).played)}: ${[...seen].join(', ')}`)
  const lost = left === null ? [] : [`with three of ten transfers spoiled ${left}`]
  return [...lost, ...untyped.map((failure) => `a failure without a code: ${failure}`)]
}

async function resumed(
  world: World,
  how: (typeof CUTS)[number],
  blobs: number,
  cuts: number,
  chance: Seeded,
): Promise<string[]> {
  const left = await healed(world)
  if (left !== null) return [`before the large blobs ${left}`]
  let given = 0
  const plan: Play = { trick: how, only: 'one', times: cuts, seed: String(chance.next()) }
  const { left: stuck, played } = await play(world, plan, async () => {
    given += blobs
    await world.host.load({ blobs, perSecond: 100, leastBytes: LARGE_BYTES, mostBytes: LARGE_BYTES }, chance)
  })
  // What was sent is counted at the end of an answer, which may come after that of the blob.
  await sleep(1000)
  const { ones } = await world.front.figures()
  const bytes = given * LARGE_BYTES
  const share = (ones.bytesSent / bytes).toFixed(5)
  world.say(
    `${given} blobs of 16 MiB, ${how} ${played} times: ${share} of their bytes on the wire, ${ones.asked} requests, ${ones.goneOn} went on`,
  )
  const violations = judgeResumed({ how, cuts, played, blobs: given, bytes, ...ones })
  return stuck === null ? violations : [...violations, `large blobs that were cut: ${stuck}`]
}
