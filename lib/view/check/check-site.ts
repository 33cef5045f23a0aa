import type { Knex } from 'knex'
import { checkTracking } from '../tracking-health.ts'
import { connectionChecks } from './connection-checks.ts'
import { answers, hasMigrations, hasVersion, isReplica, isWritable } from './database-checks.ts'
import { roleMay } from './grant-checks.ts'
import { answerTo, type Check, type Checked, noBy, noneOf, skipped } from './outcome.ts'
import { flagChecks, primaryChecks, siteChecks } from './site-checks.ts'
import type { CheckSources } from './sources.ts'
import { storeChecks } from './store-checks.ts'
import { tablesExist } from './table-checks.ts'

/**
 * Asks everything that has to be so for this site to replicate, one question after another, in an order in which the first no
 * is the one to mend first. Changes nothing but a file that it writes to each store and removes. Never throws.
 */
export async function* checkSite(sources: CheckSources): AsyncGenerator<Checked> {
  const { main, tracking } = sources.databases
  const mainAnswers = await answerTo(answers('main', main))
  yield mainAnswers
  if (mainAnswers.answer === 'no') return
  yield* each([hasVersion('main', main), ...siteChecks(sources), hasMigrations('main', main)])
  yield* each([tablesExist('main', main, sources), roleMay('main', main, sources)])
  const { role } = sources.sites
  if (role === 'primary') {
    yield* each([isWritable('main', main), ...primaryChecks(sources)])
    yield* each([...storeChecks(sources, main), ...flagChecks(sources)])
  } else if (role === 'secondary') {
    yield* each(isReplica(main))
    const hasTracking = tracking !== null && (yield* trackingChecks(sources, tracking))
    if (tracking === null) yield await answerTo(TRACKING_MISSING)
    yield* each(connectionChecks({ ...sources, databases: { main, tracking: hasTracking ? tracking : null } }))
    yield* hasTracking ? each(storeChecks(sources, tracking)) : each([NO_STORES])
    yield* each(flagChecks(sources))
  }
}

async function* each(checks: readonly Check[]): AsyncGenerator<Checked> {
  for (const check of checks) yield await answerTo(check)
}

/** Returns whether it answers. */
async function* trackingChecks(sources: CheckSources, tracking: Knex): AsyncGenerator<Checked, boolean> {
  const trackingAnswers = await answerTo(answers('tracking', tracking))
  yield trackingAnswers
  if (trackingAnswers.answer === 'no') return false
  const { me } = sources.sites
  yield* each([
    hasVersion('tracking', tracking),
    isWritable('tracking', tracking),
    hasMigrations('tracking', tracking),
    tablesExist('tracking', tracking, sources),
    roleMay('tracking', tracking, sources),
    {
      name: 'The tracking database began with this site',
      ask: async () => (me ? noneOf(await checkTracking(tracking, me)) : skipped('The site is not known')),
    },
  ])
  return true
}

const TRACKING_MISSING: Check = {
  name: 'The tracking database is configured',
  ask: async () => noBy('TRACKING_DATABASE_MISSING', 'This is a secondary without `trackingDb`'),
}

const NO_STORES: Check = {
  name: 'The stores are mounted',
  ask: async () => skipped('Which they are is in the tracking database'),
}
