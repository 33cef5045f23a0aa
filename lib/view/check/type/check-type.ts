import type { Knex } from 'knex'
import { declaredType } from '../../../blob/declared-type.ts'
import type { Replicable } from '../../../blob/replicable.ts'
import { answers, isReplica } from '../database-checks.ts'
import { answerTo, type Check, type Checked } from '../outcome.ts'
import { siteChecks } from '../site-checks.ts'
import { copiesAreReadable, filesAreReadable } from './files.ts'
import { flagIsKnown } from './flags.ts'
import { typeIsServed } from './served.ts'
import type { TypeCheckSources } from './sources.ts'
import { everyRowHasState } from './states.ts'
import { keyTypeFits, registryIsWhole, stateIsWhole, tablesAreThere } from './tables.ts'
import { hostTells, nothingDrifts } from './told.ts'
import { triggersTell } from './triggers.ts'
import { onPrimary, onSecondary, verificationRuns } from './verifying.ts'

/**
 * Walks through what makes a type ready to be released (GB.N.3), on the site that is asked: tables, flag, what is served, the host's
 * calls, files, verification. Statements are bounded: no table is counted. Changes nothing.
 * @throws GeoError `UNKNOWN_REPLICABLE`
 */
export function checkType(sources: TypeCheckSources, name: string): AsyncGenerator<Checked> {
  return walk(sources, declaredType(sources.byName, name))
}

async function* walk(sources: TypeCheckSources, replicable: Replicable): AsyncGenerator<Checked> {
  const { main, tracking } = sources.databases
  const [isKnown] = siteChecks(sources)
  if ((yield* each([answers('main', main), ...(isKnown ? [isKnown] : [])])) === 'no') return
  const { role } = sources.sites
  const hasTables = yield* each([tablesAreThere('main', main, replicable)])
  if (hasTables === 'yes') {
    if (role === 'primary') yield* each(primaryTables(sources, main, replicable))
    else yield* each([keyTypeFits(main, replicable, replicable.table, replicable.keyColumn)])
  }
  const hasRegistry = role === 'secondary' && tracking !== null && (yield* registry(tracking, replicable))
  yield* each([...flagIsKnown(sources, replicable), ...typeIsServed(sources, replicable)])
  if (hasTables === 'yes' && role === 'primary') yield* each(primaryWork(sources, main, replicable))
  if (hasRegistry && tracking) yield* each(secondaryWork(sources, tracking, replicable))
}

function primaryTables(sources: TypeCheckSources, main: Knex, replicable: Replicable): Check[] {
  return [
    keyTypeFits(main, replicable, replicable.table, replicable.keyColumn),
    ...stateIsWhole(main, replicable),
    everyRowHasState(sources, main, replicable),
  ]
}

/** Returns whether there is one. */
async function* registry(tracking: Knex, replicable: Replicable): AsyncGenerator<Checked, boolean> {
  if ((yield* each([answers('tracking', tracking)])) === 'no') return false
  if ((yield* each([tablesAreThere('tracking', tracking, replicable)])) === 'no') return false
  const { registryTable, foreignKey } = replicable.names
  yield* each([keyTypeFits(tracking, replicable, registryTable, foreignKey), ...registryIsWhole(tracking, replicable)])
  return true
}

function primaryWork(sources: TypeCheckSources, main: Knex, replicable: Replicable): Check[] {
  return [
    ...hostTells(sources, replicable),
    triggersTell(sources, main, replicable),
    filesAreReadable(main, replicable),
    verificationRuns(sources, replicable, onPrimary(main, replicable)),
  ]
}

function secondaryWork(sources: TypeCheckSources, tracking: Knex, replicable: Replicable): Check[] {
  const { main } = sources.databases
  return [
    ...isReplica(main).slice(0, 1),
    nothingDrifts(sources, tracking, replicable),
    copiesAreReadable(tracking, replicable),
    verificationRuns(sources, replicable, onSecondary(tracking, replicable)),
  ]
}

/** Returns `no` where one of them is. */
async function* each(checks: readonly Check[]): AsyncGenerator<Checked, 'yes' | 'no'> {
  let all: 'yes' | 'no' = 'yes'
  for (const check of checks) {
    const checked = await answerTo(check)
    if (checked.answer === 'no') all = 'no'
    yield checked
  }
  return all
}
