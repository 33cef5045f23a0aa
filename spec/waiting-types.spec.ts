import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { typesToSync } from '../lib/registry/claims.ts'
import { registryVerification } from '../lib/registry/registry-verification.ts'
import { typesToRemove } from '../lib/registry/removal.ts'
import { primaryVerification } from '../lib/verification/primary-tracker.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { explained } from './support/explained.ts'
import { untyped } from './support/fixture-rows.ts'

const ROWS = 20_000
const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)

let databases: SpecDatabases

/** Each table was analysed while all of its rows waited; by now all of them are done. */
beforeAll(async () => {
  databases = await createSpecDatabases()
  const { main, tracking } = databases
  await main.raw(`insert into widgets (name, file_path) select 'w', 'f' from generate_series(1, ${ROWS})`)
  await main.raw('insert into widget_states (widget_id) select id from widgets')
  await main.raw(`insert into gadgets (name, file_path) select 'g', 'f' from generate_series(1, ${ROWS})`)
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, superseded_keys) select n, now(), 2, '{a}' from generate_series(1, ${ROWS}) n`,
  )
  await tracking.raw(
    `insert into gadget_registry (gadget_id, created_at) select gen_random_uuid(), now() from generate_series(1, ${ROWS})`,
  )
  await becomes(tracking, 'gadget_registry', 'state = 2, verification_state = 2')
  await becomes(tracking, 'widget_registry', 'verification_state = 2, superseded_keys = null')
  await becomes(main, 'widget_states', 'verification_state = 2')
  await becomes(main, 'gadgets', 'verification_state = 2')
})
afterAll(() => databases.destroy())

async function becomes(db: Knex, table: string, values: string): Promise<void> {
  await db.raw(`alter table ${table} set (autovacuum_enabled = off)`)
  await db.raw(`analyze ${table}`)
  await db.raw(`update ${table} set ${values}`)
  await db.raw(`vacuum ${table}`)
}

describe('Where the planner still believes that everything waits, a look for', () => {
  it.each<[string, 'main' | 'tracking', (db: Knex) => Promise<unknown>]>([
    ['what is to be fetched', 'tracking', (db) => typesToSync(db, [gadgets])],
    ['copies to be verified', 'tracking', (db) => registryVerification(databases.standby).waiting(db, [widgets])],
    ['what is to be removed', 'tracking', (db) => typesToRemove(db, [widgets])],
    [
      'files to be hashed',
      'main',
      (db) => primaryVerification(databases.main, async () => undefined).waiting(db, [widgets, gadgets]),
    ],
  ])('%s does not read what is done', async (_, which, look) => {
    const db = databases[which]
    expect(await look(db)).toEqual([])
    const plan = await explained(db, 'position', look)
    expect(plan).toMatch(/Index (Only )?Scan/)
    expect(plan).not.toMatch(/Seq Scan on (widget_registry|gadget_registry|widget_states|gadgets)/)
  })
})
