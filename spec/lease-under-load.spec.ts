import { afterAll, beforeAll, expect, it } from 'vitest'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { type AssembledSite, assembleSecondary } from './support/assembled-site.ts'
import { addRegistryRow, registryRow, untyped } from './support/fixture-rows.ts'
import { createPrimarySite, type PrimarySite } from './support/primary-site.ts'
import { proxyTransfers, type TransferProxy } from './support/transfer-proxy.ts'
import { until } from './support/until.ts'

const BUSY_MS = 3000

let primary: PrimarySite
let proxy: TransferProxy
let site: AssembledSite

beforeAll(async () => {
  primary = await createPrimarySite()
  proxy = await proxyTransfers(primary.url)
  await primary.databases
    .main('geo_nodes')
    .where({ name: 'tokyo' })
    .update({ internal_url: `${proxy.url}/` })
  site = await assembleSecondary(primary.databases)
})
afterAll(async () => {
  await site?.close()
  await proxy?.close()
  await primary?.close()
})

it('A main thread that is busy for 3 s and a table of leases that is locked as long cost no lease and cut no transfer', async () => {
  const { tracking } = primary.databases
  const widgets = untyped(primary.replicables.widgets)
  const id = await primary.addWidget('a/b', 'bytes')
  await addRegistryRow(tracking, widgets, id)
  proxy.hold()
  await site.parts.start()
  await until(() => proxy.open === 1)
  const [before] = await tracking('geo_leases').where({ kind: 'sync' })

  await tracking.transaction(async (trx) => {
    await trx.raw('lock table geo_leases in access exclusive mode')
    const endMs = performance.now() + BUSY_MS
    while (performance.now() < endMs);
  })
  expect(proxy.open).toBe(1)
  const [after] = await tracking('geo_leases').where({ kind: 'sync' })
  expect(after.id).toBe(before.id)
  proxy.release()
  await until(async () => (await registryRow(tracking, widgets, id))?.['state'] === SYNC_STATE.synced)
  // The primary runs in this very process, so it may well have been out of reach for a while.
  for (const code of ['LEASE_LOST', 'WORKER_LOST', 'JOB_FAILING']) expect(site.logger.codes()).not.toContain(code)
  expect(proxy.askedFor).toEqual(new Map([[id, 1]]))
})
