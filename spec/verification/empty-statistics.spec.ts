import type { Knex } from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { bounded } from '../../lib/databases.ts'
import { pruneEvents } from '../../lib/event/prune.ts'
import { giveBackPrimary, recordPrimary, takeOverPrimary } from '../../lib/verification/primary-state.ts'
import { deleteUnusedStates, reverifyOldest, wakeDisabled } from '../../lib/verification/state-upkeep.ts'
import { failTimedOutRecords } from '../../lib/verification/timed-out.ts'
import type { ClaimedRecord } from '../../lib/verification/tracker.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { changesBatch, fillBehindStatistics } from '../support/empty-statistics.ts'
import { untyped } from '../support/fixture-rows.ts'

/** As of a registry (spec/registry/empty-statistics.spec.ts), of the primary's states and its event log. */

const ROWS = 150_000
const IDS = Array.from({ length: 1000 }, (_, position) => String(position * 140 + 1))
const DIGEST = { algorithm: 'sha256', hex: 'ab'.repeat(32) } as const
const AT = '2026-01-01 00:00:00+00'
const widgets = untyped(declareReplicables('unused').widgets)

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
  const { main } = databases
  await main.raw(`insert into widgets (id, name, file_path) select n, 'w', 'f' from generate_series(1, ${ROWS}) n`)
  await fillBehindStatistics(
    main,
    'widget_states',
    `insert into widget_states (widget_id, verification_state, verified_at)
     select n, 2, now() from generate_series(1, ${ROWS}) n`,
  )
  await fillBehindStatistics(
    main,
    'geo_events',
    `insert into geo_events (replicable_name, event_name, payload)
     select 'widget', 'created', '{}' from generate_series(1, ${ROWS})`,
  )
})
afterAll(() => databases.destroy())

const HASHING = `verification_state = 1, verification_started_at = '${AT}'`
const claimed = IDS.map((id) => ({ id, startedAt: AT, corrupt: false })) as ClaimedRecord[]

type Act = (trx: Knex.Transaction) => Promise<unknown>
const STATEMENTS: readonly (readonly [name: string, before: string, act: Act])[] = [
  [
    'recordPrimary',
    HASHING,
    (trx) =>
      recordPrimary(
        trx,
        widgets,
        claimed,
        IDS.map((id) => ({ id, outcome: 'succeeded', digest: DIGEST })),
      ),
  ],
  ['takeOverPrimary', HASHING, (trx) => takeOverPrimary(trx, widgets, IDS, 1)],
  ['giveBackPrimary', HASHING, (trx) => giveBackPrimary(trx, widgets, IDS)],
  [
    'failTimedOutRecords',
    HASHING,
    (trx) => failTimedOutRecords(trx, widgets, { timeoutMs: 1, retryInSeconds: 1, limit: 1000 }),
  ],
  ['reverifyOldest', `verified_at = '${AT}'`, (trx) => reverifyOldest(trx, widgets, 1, 1000)],
  ['wakeDisabled', 'verification_state = 4', (trx) => wakeDisabled(trx, widgets, 1000)],
]

it.each(STATEMENTS)('%s writes a batch', async (_name, before, act) => {
  const batch = { table: 'widget_states', key: 'widget_id', ids: IDS, before }
  expect(await changesBatch(databases.main, bounded, batch, act)).toBe(true)
})

it('deleteUnusedStates looks at a page, and at all that lies beyond the last one', async () => {
  const { main } = databases
  const page = Array.from({ length: 10_000 }, (_, position) => position + 1)
  const range = { after: null, upTo: '10000', literal: `{${page.join(',')}}` }
  expect(await bounded(main, (trx) => deleteUnusedStates(trx, widgets, range, 10_000))).toBe(0)
  await main.raw('update widgets set file_path = null where id > 100000')
  const beyond = { after: '100000', upTo: null, literal: '{}' }
  for (const count of [10_000, 10_000, 10_000, 10_000, 10_000, 0]) {
    expect(await bounded(main, (trx) => deleteUnusedStates(trx, widgets, beyond, 10_000))).toBe(count)
  }
})

it('pruneEvents deletes what all have read', async () => {
  const { main } = databases
  for (const count of [50_000, 50_000, 50_000, 0]) expect(await pruneEvents(main, 1, async () => false)).toBe(count)
})
