import { type Phase, sizeText } from './run.ts'
import type { World } from './world.ts'
import { writtenText } from './writes.ts'

export interface Asked {
  readonly seed: number
  readonly minutes: number
}

type Told = Pick<World, 'skipped' | 'replaced' | 'slowedBy'> & {
  readonly ledger: Pick<World['ledger'], 'count'>
  readonly network: Pick<World['network'], 'how'>
}

/** What a run has come to, for machines. `faults` is how many were done: what was skipped whole is among the phases and not counted. */
export function resultOf({ seed, minutes }: Asked, world: Told, phases: readonly Phase[]) {
  const violationList = phases.flatMap(({ violations }) => violations)
  return {
    seed,
    minutes,
    faults: phases.filter(({ skipped }) => skipped === null).length,
    blobs: world.ledger.count,
    network: world.network.how,
    slowedBy: world.slowedBy,
    phases: phases.map(({ violations, ...phase }) => ({ ...phase, violations: violations.length })),
    skipped: world.skipped,
    replaced: world.replaced,
    violations: violationList.length,
    violationList,
  }
}

/** The same for people, a line for each phase. */
export function tableOf(phases: readonly Phase[]): string {
  return phases.map((phase) => `${lineOf(phase)}\n`).join('')
}

function lineOf({ fault, size, seconds, violations, written, skipped }: Phase): string {
  const name = fault.padEnd(12)
  const count = `${String(violations.length).padStart(3)} violations`
  if (skipped !== null) return `${name} ${'SKIPPED'.padStart(7)}  ${count}  ${skipped}`
  return `${name} ${`${seconds} s`.padStart(7)}  ${count}  ${sizeText(size)}; ${writtenText(written)}`
}
