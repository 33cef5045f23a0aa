import { setTimeout as sleep } from 'node:timers/promises'
import type { Seeded } from '../seeded.ts'
import type { Site } from '../site.ts'
import type { World } from '../world.ts'
import { attemptsOf, early, forgetAttempts, noteAnew, noteAttempts, watchAttempts } from './attempts.ts'
import { watchBacklog } from './backlog.ts'
import type { Fault } from './fault.ts'
import { HealthWatch } from './health-watch.ts'
import { failVerifications, hasten, newlyRetried, type Retry, retried } from './retries.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const HARMLESS_S = [30, -30]
const NOTED_S = [90, -90]
const JUMP_BACK_S = [-3600]
/** A report every ten seconds, and a rest as long after one that was not taken. */
const NOTED_WITHIN_MS = 40_000
const BACK_WITHIN_MS = 30_000
const MEASURED_TO_S = 3
/** While the clocks allow for it: a look each second for what is due, and what else is to be done then. */
const LATE_MS = 5000
/** After a primary that refuses the longest pause is ten seconds. */
const LATE_AFTER_PAUSE_MS = 15_000
const ALWAYS = () => Number.POSITIVE_INFINITY
/** Of which each waits for another attempt when the clock is set, and is to get it so long after, by the clock of the database. */
const FAILING = 4
const DUE_IN_S = 15
const FAILED_WITHIN_MS = 20_000
/** What failed last is marked by then. */
const MARKED_WITHIN_MS = 1000

type Numbers = { perKind: number; holdSeconds: number; perSecond: number }

interface Shift {
  readonly site: Site
  readonly seconds: number
}

/**
 * The clocks of the processes: those of the databases, which all moments that are compared between processes come from, cannot be
 * set apart on one machine.
 */
export const clock: Fault<Numbers> = {
  name: 'clock',
  title: "the wall clock of one side's processes is off by 30 s, 90 s, and jumps back by an hour, while blobs arrive",
  full: { perKind: 4, holdSeconds: 20, perSecond: 50 },
  least: { perKind: 1, holdSeconds: 15, perSecond: 10 },
  async run(world, { perKind, holdSeconds, perSecond }, chance) {
    const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }
    const violations: string[] = []
    const chosen = (seconds: readonly number[]) => chance.shuffled(shiftsBy(world, seconds)).slice(0, perKind)
    const shifts = chance.shuffled([...chosen(HARMLESS_S), ...chosen(NOTED_S), ...chosen(JUMP_BACK_S)])
    await noteAttempts(world)
    try {
      await underLoad(world, load, chance.stream('load'), async () => {
        for (const shift of shifts) {
          const what = `the clock of ${shift.site.name} by ${shift.seconds} s`
          world.history.note({ kind: 'fault', fault: 'clock', what })
          const act = HARMLESS_S.includes(shift.seconds) ? harmless : noted
          await noteAnew(world)
          const found = await act(world, shift, { holdMs: holdSeconds * 1000, perSecond }, chance.stream(what))
          found.push(...early(await attemptsOf(world)))
          violations.push(...found.map((violation) => `${what}: ${violation}`))
        }
      })
    } finally {
      for (const site of world.sites) await site.setClock(0)
      await forgetAttempts(world)
    }
    return violations
  },
}

function shiftsBy({ sites }: World, seconds: readonly number[]): Shift[] {
  return sites.flatMap((site) => seconds.map((by) => ({ site, seconds: by })))
}

interface Manner {
  readonly holdMs: number
  readonly perSecond: number
}

/** Nothing at all is to come of it; what waits for another attempt gets it in its time. Whether it came too early is asked of all. */
async function harmless(world: World, { site, seconds }: Shift, { holdMs }: Manner, chance: Seeded): Promise<string[]> {
  const { waiting, hashing, before, violations } = await failSome(world, chance)
  const watches = world.secondaries.map((secondary) => new HealthWatch(world, secondary))
  await site.setClock(seconds * 1000)
  try {
    const patience = { lateMs: LATE_MS, workedForMs: ALWAYS }
    const [transfers, verifications] = await Promise.all([
      watchAttempts(world, waiting, { kind: 'transfer', ...patience }),
      watchAttempts(world, hashing, { kind: 'verification', ...patience }),
      sleep(holdMs),
    ])
    violations.push(...transfers.violations, ...verifications.violations)
    tellLatest(world, `${site.name} by ${seconds} s`, transfers.latestMs, verifications.latestMs)
  } finally {
    await site.setClock(0)
  }
  for (const watch of watches) {
    await watch.close()
    const heard = [...watch.heard].map(([code, message]) => `${code}: ${message}`).join('; ')
    // Other hints are of other things: under load some transaction is always open for long.
    if (watch.wasIll || watch.heard.has('CLOCK_SKEW')) violations.push(`a secondary was not well: ${heard}`)
  }
  violations.push(...(await newlyRetried(world, before)))
  world.say(`${site.name} by ${seconds} s: ${waiting.length} retries, nothing said: ${violations.length === 0}`)
  return violations
}

interface Failed {
  /** Names of what waits to be tried again. */
  readonly waiting: readonly string[]
  /** Names of copies that wait to be hashed again, which needs no primary. */
  readonly hashing: readonly string[]
  /** All that counts a retry by now. */
  readonly before: ReadonlyMap<string, Retry>
  readonly violations: string[]
}

/** Has the transfers of some blobs fail, and the hashing of some copies. */
async function failSome(world: World, chance: Seeded): Promise<Failed> {
  const earlier = await retried(world)
  const anew = (now: ReadonlyMap<string, Retry>) => [...now.keys()].filter((name) => !earlier.has(name))
  const plan = {
    seed: String(chance.next()),
    tricks: ['broken'],
    perThousand: 1000,
    most: Number.MAX_SAFE_INTEGER,
  } as const
  world.front.order({ type: 'mischief', plan })
  const deadline = performance.now() + FAILED_WITHIN_MS
  try {
    while (anew(await retried(world)).length < FAILING && performance.now() < deadline) await sleep(200)
  } finally {
    world.front.order({ type: 'mischief', plan: null })
  }
  // A request that failed may have been for many, of which the last are marked later than the first.
  await sleep(MARKED_WITHIN_MS)
  const hashing = await failHashing(world)
  await hasten(world, DUE_IN_S)
  const before = await retried(world)
  const waiting = anew(before).filter((name) => (before.get(name)?.dueInMs ?? 0) > 0)
  const violations =
    waiting.length < FAILING ? [`only ${waiting.length} of ${FAILING} blobs wait to be tried again`] : []
  if (hashing.length < FAILING) violations.push(`only ${hashing.length} of ${FAILING} copies wait to be hashed again`)
  return { waiting, hashing, before, violations }
}

/** Where the run has only begun, there are no verified copies yet. */
async function failHashing(world: World): Promise<string[]> {
  const names: string[] = []
  const deadline = performance.now() + FAILED_WITHIN_MS
  while (names.length < FAILING && performance.now() < deadline) {
    names.push(...(await failVerifications(world, FAILING - names.length, DUE_IN_S)))
    await sleep(200)
  }
  return names
}

function tellLatest(world: World, what: string, transfersMs: number, verificationsMs: number): void {
  world.figure(`${what}: latest transfer, ms`, Math.round(transfersMs))
  world.figure(`${what}: latest verification, ms`, Math.round(verificationsMs))
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  world.say(`${what}: transfers at most ${seconds(transfersMs)} late, verifications ${seconds(verificationsMs)}`)
}

/** The secondary says by how much, counts nothing, hashes in its time what needs no primary, and goes on once the clock is right: also with what waits to be tried again. */
async function noted(
  world: World,
  { site, seconds }: Shift,
  { holdMs, perSecond }: Manner,
  chance: Seeded,
): Promise<string[]> {
  const { waiting, hashing, before, violations } = await failSome(world, chance)
  const watches = world.secondaries.map((secondary) => new HealthWatch(world, secondary))
  const isPrimary = site === world.primary
  const direction = seconds > 0 === isPrimary ? 'behind' : 'ahead of'
  // Such clocks pause the transfers: late is what comes late after that.
  let rightAtMs = Number.POSITIVE_INFINITY
  const workedForMs = () => performance.now() - rightAtMs
  await site.setClock(seconds * 1000)
  const transferring = watchAttempts(world, waiting, { kind: 'transfer', lateMs: LATE_AFTER_PAUSE_MS, workedForMs })
  const verifying = watchAttempts(world, hashing, { kind: 'verification', lateMs: LATE_MS, workedForMs: ALWAYS })
  // Told of where they are waited for.
  for (const watching of [transferring, verifying]) watching.catch(() => undefined)
  try {
    const beganMs = performance.now()
    for (const [at, watch] of watches.entries()) {
      const secondary = world.secondaries[at]
      if (!isPrimary && secondary !== site) continue
      const message = await watch.hears('CLOCK_SKEW', NOTED_WITHIN_MS)
      const measured = Number(/is (\d+) seconds/.exec(message ?? '')?.[1])
      const isRight = Math.abs(measured - Math.abs(seconds)) <= MEASURED_TO_S && message?.includes(direction)
      if (message === null)
        violations.push(`${secondary?.name} says nothing of it: ${[...watch.heard.keys()].join(', ')}`)
      else if (!isRight) violations.push(`${secondary?.name} says: ${message}`)
      else world.say(`${message}, said after ${((performance.now() - beganMs) / 1000).toFixed(1)} s`)
    }
    await sleep(Math.max(0, holdMs - (performance.now() - beganMs)))
    // Each of them while the clock is wrong.
    violations.push(...(await verifying).violations)
  } finally {
    await site.setClock(0)
    rightAtMs = performance.now()
  }
  const limits = { perSecond, backWithinMs: BACK_WITHIN_MS }
  const backlog = await watchBacklog(world, limits)
  const transfers = await transferring
  violations.push(...backlog.violations, ...transfers.violations)
  tellLatest(world, `${site.name} by ${seconds} s`, transfers.latestMs, (await verifying).latestMs)
  world.say(`set right: ${waiting.length} retries; ${backlog.text}`)
  for (const watch of watches) {
    const still = await watch.recovers(['CLOCK_SKEW'], NOTED_WITHIN_MS)
    if (still !== null) violations.push(`a secondary is still not well: ${still}`)
    await watch.close()
  }
  violations.push(...(await newlyRetried(world, before)))
  return violations
}
