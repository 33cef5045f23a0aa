import { inspect } from 'node:util'
import { CHECKS } from './checks/index.ts'
import type { Scene } from './checks/scene.ts'
import type { Fault, Size } from './faults/fault.ts'
import { sizeFor } from './faults/fault.ts'
import type { Seeded } from './seeded.ts'
import type { World } from './world.ts'
import { type Written, writtenText } from './writes.ts'

export interface Violation {
  readonly check: string
  readonly fault: string
  readonly message: string
}

export interface Plan {
  readonly faults: readonly Fault[]
  readonly minutes: number
  /** Where a number of a fault has a name that is here, it is this. */
  readonly sizes: Size
  readonly chance: Seeded
  /** Whether it is no violation that a machine does not allow a fault, or a part of one. */
  readonly allowSkipped: boolean
}

/** One fault, once: what it was and what was found. */
export interface Phase {
  readonly fault: string
  readonly size: Size
  readonly seconds: number
  /** What the host wrote meanwhile. */
  readonly written: Written
  /** What it has measured. */
  readonly figures: Readonly<Record<string, number>>
  /** Why nothing of it could be done on this machine; null where it was. */
  readonly skipped: string | null
  readonly violations: readonly Violation[]
}

const SETTLE_MS = 120_000
const MINUTE_MS = 60_000
/** Of each check; the rest is counted. */
const MOST_MESSAGES = 20

/**
 * All chosen faults once, in an order of the seed, then again as long as time is left for another one. Whatever a phase finds,
 * the next one goes on with the same world. `phases` gets each as it ends, for whoever is interrupted. What this machine does not
 * allow is there once, and not run.
 */
export async function runFaults(
  world: World,
  { faults: chosen, minutes, sizes, chance, allowSkipped }: Plan,
  signal: AbortSignal,
  phases: Phase[],
): Promise<void> {
  const beganMs = performance.now()
  // What a check has found stays so, and is no violation of the faults that come after.
  const told = new Set<string>()
  const isNew = (check: string, message: string): boolean => {
    const isFirst = !told.has(`${check} ${message}`)
    told.add(`${check} ${message}`)
    return isFirst
  }
  // What nobody waited for, such as a watch beside a fault, must not end the run either.
  const unhandled: string[] = []
  const onUnhandled = (reason: unknown) => {
    world.say(inspect(reason))
    unhandled.push(String(reason))
  }
  process.on('unhandledRejection', onUnhandled)
  const watched = { isNew, signal, unhandled, allowSkipped }
  try {
    const faults: Fault[] = []
    for (const fault of chosen) {
      const why = (await fault.impossible?.(world)) ?? null
      if (why === null) faults.push(fault)
      else phases.push(skippedPhase(world, fault, sizeOf(fault, minutes, sizes), why, allowSkipped))
    }
    for (let round = 0; !signal.aborted && faults.length > 0; round += 1) {
      for (const fault of chance.stream(`order ${round}`).shuffled(faults)) {
        const before = phases.findLast((phase) => phase.fault === fault.name)
        const leftMs = minutes * MINUTE_MS - (performance.now() - beganMs)
        if (signal.aborted || (round > 0 && (before?.seconds ?? 0) * 1000 > leftMs)) return
        const size = sizeOf(fault, minutes, sizes)
        phases.push(await runPhase(world, fault, size, chance.stream(`${fault.name} ${round}`), watched))
      }
    }
  } finally {
    process.off('unhandledRejection', onUnhandled)
  }
}

function sizeOf(fault: Fault, minutes: number, sizes: Size): Size {
  const given = Object.entries(sizes).filter(([name]) => name in fault.full)
  return { ...sizeFor(fault, minutes), ...Object.fromEntries(given) }
}

/** What the phases of a run share. */
interface Watched {
  isNew(check: string, message: string): boolean
  readonly signal: AbortSignal
  /** Rejections that nobody handled, taken out by the phase that ends next. */
  readonly unhandled: string[]
  readonly allowSkipped: boolean
}

function skippedPhase(world: World, { name }: Fault, size: Size, why: string, allowSkipped: boolean): Phase {
  world.skip(name, why)
  const violations = allowSkipped ? [] : [{ check: 'skipped', fault: name, message: `nothing of it was done: ${why}` }]
  const written = world.host.writes.since(world.host.writes.mark())
  return { fault: name, size, seconds: 0, written, figures: {}, skipped: why, violations }
}

async function runPhase(
  world: World,
  fault: Fault,
  size: Size,
  chance: Seeded,
  { isNew, signal, unhandled, allowSkipped }: Watched,
): Promise<Phase> {
  const beganMs = performance.now()
  const { writes } = world.host
  const mark = writes.mark()
  const skippedBefore = world.skipped.length
  world.say(`== ${fault.name}: ${fault.title}: ${sizeText(size)}`)
  world.history.note({ kind: 'fault', fault: fault.name, what: 'begins', size })
  const found = new Map<string, readonly string[]>()
  const look = async (name: string, act: () => Promise<readonly string[]>): Promise<void> => {
    found.set(name, await findings(world, name === fault.name ? 'the fault' : 'it', act, signal))
  }
  await look(fault.name, async () => {
    world.front.order({ type: 'begin' })
    return fault.run(world, size, chance)
  })
  world.history.note({ kind: 'fault', fault: fault.name, what: 'has ended' })
  if (!fault.mayRefuse) {
    found.set('refused', writes.refusalsSince(mark))
    found.set('load', writes.smallLoadsSince(mark))
  }
  await look('settled', async () => {
    await world.host.resolve()
    const left = await world.settled(SETTLE_MS)
    return left === null ? [] : [`${SETTLE_MS / 1000} s after the fault ${left}`]
  })
  let scene: Scene | null = null
  await look('scene', async () => {
    scene = await world.scene()
    return []
  })
  for (const check of CHECKS) await look(check.name, async () => (scene ? check.look(scene) : []))
  found.set('unhandled', unhandled.splice(0))
  const skipped = world.skipped.slice(skippedBefore)
  if (!allowSkipped)
    found.set(
      'skipped',
      skipped.map((what) => `this was not done: ${what}`),
    )
  for (const [check, violations] of found) world.history.note({ kind: 'check', check, fault: fault.name, violations })
  const violations = [...found].flatMap(([check, messages]) =>
    shortened(messages.filter((message) => isNew(check, message))).map((message) => ({
      check,
      fault: fault.name,
      message,
    })),
  )
  const seconds = Math.round((performance.now() - beganMs) / 1000)
  for (const { check, message } of violations) world.say(`VIOLATION of ${check}: ${message}`)
  const written = writes.since(mark)
  world.say(`${fault.name} took ${seconds} s; ${writtenText(written)}; ${violations.length} violations`)
  return { fault: fault.name, size, seconds, written, figures: world.takeFigures(), skipped: null, violations }
}

/** What it finds; where it fails, that is found: the run goes on with the next fault, and ends with its result. */
async function findings(
  { say }: World,
  what: string,
  act: () => Promise<readonly string[]>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    return await act()
  } catch (reason) {
    // The world is taken down under whatever still goes on.
    if (signal.aborted) throw reason
    say(inspect(reason))
    return [`${what} could not go on: ${reason instanceof Error ? reason.message : String(reason)}`]
  }
}

function shortened(messages: readonly string[]): readonly string[] {
  if (messages.length <= MOST_MESSAGES) return messages
  return [...messages.slice(0, MOST_MESSAGES), `and ${messages.length - MOST_MESSAGES} more of this kind`]
}

export function sizeText(size: Size): string {
  return Object.entries(size)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')
}
