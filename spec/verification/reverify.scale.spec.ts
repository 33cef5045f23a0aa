import type { Knex } from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { reverifyOldestCopies } from '../../lib/registry/copies-interval.ts'
import { reverifyDue } from '../../lib/verification/maintain-states.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { explained } from '../support/explained.ts'
import { untyped } from '../support/fixture-rows.ts'

const ROWS = 1_000_000
const LONGEST_MS = 1000

const declared = declareReplicables('/nonexistent')
let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
  const { main, tracking } = databases
  // Three in four were verified long ago, and all of them in one backfill.
  const verifiedAt = `now() - case when n % 4 = 0 then interval '1 day' else interval '40 days' end`
  await main.raw(`insert into widgets (id, name, file_path) select n, 'w', 'f' || n from generate_series(1, ${ROWS}) n`)
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verified_at)
     select n, ${V.succeeded}, ${verifiedAt} from generate_series(1, ${ROWS}) n`,
  )
  await main.raw(
    `insert into gadgets (name, file_path, verification_state, verified_at)
     select 'g', 'f' || n, ${V.succeeded}, ${verifiedAt} from generate_series(1, ${ROWS}) n`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, verification_state, verified_at)
     select n, now(), 2, ${V.succeeded}, ${verifiedAt} from generate_series(1, ${ROWS}) n`,
  )
  for (const table of ['widget_states', 'gadgets']) await main.raw(`analyze ${table}`)
  await tracking.raw('analyze widget_registry')
})
afterAll(() => databases?.destroy())

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now()
  await work()
  return performance.now() - startedAtMs
}

/** Runs the statement twice: the second time planned and measured by PostgreSQL itself. */
async function expectIndexed(db: Knex, index: string, work: (db: Knex) => Promise<unknown>): Promise<void> {
  expect(await timed(() => work(db))).toBeLessThan(LONGEST_MS)
  const plan = await explained(db, 'verified_at', work)
  expect(plan).toMatch(new RegExp(`Index (Only )?Scan using ${index}`))
  expect(plan).not.toMatch(/\bSort\b|Seq Scan on (widget_states|gadgets|widget_registry)/)
}

it('Of a million checksums, those calculated longest ago are found by an index', async () => {
  const { main } = databases
  for (const { type, table } of [
    { type: untyped(declared.widgets), table: 'widget_states' },
    { type: untyped(declared.gadgets), table: 'gadgets' },
  ]) {
    await expectIndexed(main, `index_${table}_reverification`, (db) => reverifyDue(db, type, 30))
  }
})

it('Of a million copies, those verified longest ago are found by an index, and taken in a few days', async () => {
  const { tracking } = databases
  const widgets = untyped(declared.widgets)
  await expectIndexed(tracking, 'widget_registry_reverification', (db) => reverifyOldestCopies(db, widgets, 30))
  const atOnce = await reverifyOldestCopies(tracking, widgets, 30)
  const days = (ROWS * 0.75) / atOnce / 1440
  expect(days).toBeGreaterThan(2)
  expect(days).toBeLessThan(3)
})

it('Of a million records a batch is claimed by an index, also where the state is in columns of the host’s table', async () => {
  const { main } = databases
  const tracker = primaryVerification(main, async () => undefined)
  const gadgets = untyped(declared.gadgets)
  await main.raw('analyze gadgets')
  const claim = (db: Knex) => db.transaction((trx) => tracker.claim(trx, gadgets, 100))
  expect(await timed(() => claim(main))).toBeLessThan(LONGEST_MS)
  const plan = await explained(main, 'for update skip locked', claim)
  expect(plan).toMatch(/Index (Only )?Scan using index_gadgets_pending_verification/)
  expect(plan).not.toMatch(/Seq Scan on gadgets/)
  expect(await timed(() => tracker.waiting(main, [gadgets]))).toBeLessThan(LONGEST_MS)
})
