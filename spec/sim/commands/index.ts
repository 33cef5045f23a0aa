import fc from 'fast-check'
import { commandOf, type SimCommand } from '../action.ts'
import * as host from './host.ts'
import { interleave } from './interleave.ts'
import * as misfortune from './misfortune.ts'
import * as operator from './operator.ts'
import * as processes from './process.ts'

/** What events tell the secondary, and what they cannot be hindered by. */
const told = [
  commandOf(host.create),
  commandOf(host.createWithoutFile),
  commandOf(host.giveFile),
  commandOf(host.rename),
  commandOf(host.rewrite),
  commandOf(host.remove),
  commandOf(host.reinsert),
  commandOf(host.hold),
  commandOf(host.release),
  commandOf(misfortune.repeatEvents),
  commandOf(misfortune.reorderEvents),
  commandOf(misfortune.failNextRequest),
  commandOf(operator.bulkRun),
  commandOf(operator.pauseSite),
  commandOf(operator.passTime),
  commandOf(operator.setWallClock),
  commandOf(processes.workOnce),
  commandOf(processes.workAll),
  commandOf(processes.crash),
  commandOf(processes.restart),
  commandOf(processes.standStill),
  commandOf(interleave),
]

const untold = [
  commandOf(host.takeFile),
  commandOf(host.changeOwner),
  commandOf(misfortune.spoilOriginal),
  commandOf(misfortune.spoilCopy),
  commandOf(misfortune.loseEvents),
  commandOf(operator.flipFlag),
  commandOf(operator.changeScope),
  commandOf(operator.repair),
]

/** Sequences of what can happen to two sites: half of them such that events alone must bring the sites together. */
export function anySequence(constraints: fc.CommandsContraints): fc.Arbitrary<Iterable<SimCommand>> {
  return fc.oneof(
    fc.commands([fc.oneof(...told)], constraints),
    fc.commands([fc.oneof(...told, ...untold)], constraints),
  )
}
