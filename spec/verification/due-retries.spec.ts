import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { StoreIdentities } from '../../lib/blob/store-identity.ts'
import { Leases } from '../../lib/lease.ts'
import { endDeadLeases } from '../../lib/other-leases.ts'
import { Signals } from '../../lib/signals.ts'
import { endingOf } from '../../lib/take-over.ts'
import { ManualClock } from '../../lib/testing/manual-clock.ts'
import { ChecksumPool } from '../../lib/verification/checksum.ts'
import { reverifyDue } from '../../lib/verification/maintain-states.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { VerificationWork } from '../../lib/verification/verify.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'
import { addRecord, changeState, stateOf } from '../support/primary-records.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { createVerifyingSite, type VerifyingSite } from '../support/verifying-site.ts'

let databases: SpecDatabases
let site: VerifyingSite
let pool: ChecksumPool
let types: { widgets: Replicable; gadgets: Replicable }
let enabled: Replicable[]

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await createVerifyingSite()
  pool = new ChecksumPool(1)
  const { widgets, gadgets } = declareReplicables(site.root)
  types = { widgets: untyped(widgets), gadgets: untyped(gadgets) }
  await site.writeBlob('f', 'bytes')
})
afterAll(async () => {
  await pool.close()
  await site.close()
  await databases.destroy()
})
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets', 'geo_leases']) await databases.main(table).delete()
  enabled = Object.values(types)
})

const logger = recordingLogger()

/** A process of the primary. */
function processOf(capacity = 10): VerificationWork {
  const clock = new ManualClock()
  return new VerificationWork({
    db: databases.main,
    tracker: primaryVerification(databases.main, async () => undefined),
    pool,
    clock,
    logger,
    signals: new Signals(logger),
    siteName: 'rome',
    leases: new Leases(randomUUID(), clock),
    stores: new StoreIdentities(clock),
    enabled: () => enabled,
    capacity: () => capacity,
  })
}

const FAILED = { verification_state: V.failed, verification_retry_at: null, verification_retry_count: null }

async function workAll(work: VerificationWork): Promise<void> {
  for (let batch = await work.claim(); batch; batch = await work.claim()) await work.work(batch)
}

describe.each(['widgets', 'gadgets'] as const)('No retry of %s that is due is lost', (name) => {
  const add = (state: object) => addRecord(databases.main, types[name], 'f', state)
  const stateNow = async (id: string) => (await stateOf(databases.main, types[name], id)).verification_state

  it('while its type is off: it is taken when the type is on again', async () => {
    const id = await add(FAILED)
    const work = processOf()
    enabled = []
    expect(await work.claim()).toBeNull()
    enabled = [types[name]]
    await workAll(work)
    expect(await stateNow(id)).toBe(V.succeeded)
  })

  it('with its process: another one takes it once the lease has ended', async () => {
    const { main } = databases
    const id = await add(FAILED)
    expect(await processOf().claim()).not.toBeNull()
    expect(await processOf().claim()).toBeNull()
    await main('geo_leases').update({ expires_at: main.fn.now() })
    const byName = new Map(Object.values(types).map((type) => [type.name, type]))
    const tracker = primaryVerification(main, async () => undefined)
    const end = endingOf('died', tracker, byName, new ManualClock(), logger, new Signals(logger))
    await endDeadLeases(main, [...byName.keys()], end)
    await changeState(main, types[name], id, { verification_retry_at: null })
    await workAll(processOf())
    expect(await stateNow(id)).toBe(V.succeeded)
  })

  it('to the interval of re-verification: it stays due', async () => {
    const id = await add({ ...FAILED, verified_at: '2020-01-01' })
    await reverifyDue(databases.main, types[name], 1)
    await workAll(processOf())
    expect(await stateNow(id)).toBe(V.succeeded)
  })

  it('to what is new: a tenth of a batch is kept for it', async () => {
    const id = await add(FAILED)
    for (let fresh = 0; fresh < 110; fresh += 1) await add({})
    const batch = await processOf().claim()
    expect(batch?.claimed).toHaveLength(100)
    expect(batch?.claimed.map((record) => record.id)).toContain(id)
  })
})

it('While no retry is due, a claim looks for one once, and a few that are due fill a small batch', async () => {
  const { main } = databases
  const tracker = primaryVerification(main, async () => undefined)
  await addRecord(main, types.widgets, 'f')
  await addRecord(main, types.widgets, 'f', { ...FAILED, verification_retry_at: '2999-01-01' })
  const statements: string[] = []
  const claim = () =>
    main.transaction((trx) => {
      trx.on('query', ({ sql }: { sql: string }) => statements.push(sql))
      return tracker.claim(trx, types.widgets, 5)
    })
  expect(await claim()).toHaveLength(1)
  expect(statements.filter((sql) => sql.includes(`verification_state = ${V.failed}`))).toHaveLength(1)
  const due = [await addRecord(main, types.widgets, 'f', FAILED), await addRecord(main, types.widgets, 'f', FAILED)]
  expect((await claim()).map((record) => record.id).sort()).toEqual(due.sort())
})

it('The verification capacity of a site is split between its enabled types, over all its processes', async () => {
  const { main } = databases
  for (const type of Object.values(types)) {
    for (let count = 0; count < 450; count += 1) await addRecord(main, type, 'f')
  }
  const processes = [processOf(6), processOf(6), processOf(6)]
  const claimed: string[] = []
  for (let round = 0; round < 4; round += 1) {
    for (const each of processes) {
      const batch = await each.claim()
      if (batch) claimed.push(batch.replicable.name)
    }
  }
  expect(claimed.filter((type) => type === 'widget')).toHaveLength(3)
  expect(claimed.filter((type) => type === 'gadget')).toHaveLength(3)
})
