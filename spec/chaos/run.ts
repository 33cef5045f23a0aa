import { CHECKS } from './checks/index.ts'
import type { Fault, Size } from './faults/fault.ts'
import { sizeFor } from './faults/fault.ts'
import type { Seeded } from './seeded.ts'
import type { World } from './world.ts'

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
}

/** One fault, once: what it was and what was found. */
export interface Phase {
  readonly fault: string
  readonly size: Size
  readonly seconds: number
  readonly violations: readonly Violation[]
}

const SETTLE_MS = 120_000
const MINUTE_MS = 60_000
/** Of each check; the rest is counted. */
const MOST_MESSAGES = 20

/**
 * All chosen faults once, in an order of the seed, then again as long as time is left for another one. Whatever a phase finds,
 * the next one goes on with the same world. `phases` gets each as it ends, for whoever is interrupted.
 */
export async function runFaults(
  world: World,
  { faults, minutes, sizes, chance }: Plan,
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
  for (let round = 0; !signal.aborted; round += 1) {
    for (const fault of chance.stream(`order ${round}`).shuffled(faults)) {
      const before = phases.findLast((phase) => phase.fault === fault.name)
      const leftMs = minutes * MINUTE_MS - (performance.now() - beganMs)
      if (signal.aborted || (round > 0 && (before?.seconds ?? 0) * 1000 > leftMs)) return
      const size = sizeOf(fault, minutes, sizes)
      phases.push(await runPhase(world, fault, size, chance.stream(`${fault.name} ${round}`), isNew))
    }
  }
}

function sizeOf(fault: Fault, minutes: number, sizes: Size): Size {
  const given = Object.entries(sizes).filter(([name]) => name in fault.full)
  return { ...sizeFor(fault, minutes), ...Object.fromEntries(given) }
}

async function runPhase(
  world: World,
  fault: Fault,
  size: Size,
  chance: Seeded,
  isNew: (check: string, message: string) => boolean,
): Promise<Phase> {
  const beganMs = performance.now()
  world.say(`== ${fault.name}: ${fault.title}: ${sizeText(size)}`)
  world.history.note({ kind: 'fault', fault: fault.name, what: 'begins', size })
  world.front.order({ type: 'begin' })
  const found = new Map<string, readonly string[]>()
  found.set(fault.name, await fault.run(world, size, chance))
  world.history.note({ kind: 'fault', fault: fault.name, what: 'has ended' })
  await world.host.resolve()
  const left = await world.settled(SETTLE_MS)
  found.set('settled', left === null ? [] : [`${SETTLE_MS / 1000} s after the fault ${left}`])
  const scene = await world.scene()
  for (const check of CHECKS) found.set(check.name, await check.look(scene))
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
  world.say(`${fault.name} took ${seconds} s; ${world.ledger.count} blobs so far, ${violations.length} violations`)
  return { fault: fault.name, size, seconds, violations }
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
