import type { Knex } from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, registryRow, untyped } from '../support/fixture-rows.ts'

let databases: SpecDatabases
let site: AssembledSite
let tracking: Knex

beforeAll(async () => {
  databases = await createSpecDatabases()
  tracking = databases.tracking
  site = await assembleSecondary(databases)
})
afterAll(async () => {
  await site?.close()
  await databases.destroy()
})

/** Twenty seconds later, as it were, another process takes up what the dead one held. */
async function takeUp(): Promise<void> {
  await tracking('geo_leases').update({ expires_at: tracking.fn.now() })
  const job = site.parts.jobs.find(({ name }) => name === 'end-dead-leases')
  await job?.run(new AbortController().signal)
}

const claimedIds = async () => (await site.parts.sources.sync.claim())?.rows.map((row) => row.id) ?? []

it('A blob that kills its worker every time is tried at once, then after a lease until it was alone when that happened, and then ever more rarely', async () => {
  const widgets = untyped(site.replicables.widgets)
  await addRegistryRow(tracking, widgets, '1', { last_sync_failure: 'the disk is full', error_code: 'STORAGE_FULL' })
  const waitsS: number[] = []
  for (let death = 1; death <= 8; death += 1) {
    // It is claimed, and then the process is gone.
    expect(await claimedIds()).toEqual(['1'])
    await takeUp()
    const { rows } = await tracking.raw(
      'select extract(epoch from retry_at - clock_timestamp())::float8 as seconds from widget_registry',
    )
    waitsS.push(rows[0].seconds)
    if (death === 1) continue
    expect(await claimedIds()).toEqual([])
    await tracking('widget_registry').update({ retry_at: tracking.fn.now() })
  }
  expect(waitsS[0]).toBeLessThanOrEqual(0)
  for (const at of [1, 2, 3]) expect(waitsS[at]).toBeCloseTo(20, 0)
  expect(waitsS[4]).toBeGreaterThan(60)
  for (const later of [6, 7]) expect(waitsS[later]).toBeGreaterThan(Number(waitsS[later - 2]))
  expect(await registryRow(tracking, widgets, '1')).toMatchObject({
    state: SYNC_STATE.failed,
    retry_count: 8,
    worker_losses: 8,
    last_sync_failure: 'the disk is full',
    error_code: 'STORAGE_FULL',
  })
})
