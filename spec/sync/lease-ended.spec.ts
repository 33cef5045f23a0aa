import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LEASE_MS } from '../../lib/lease.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import type { SyncBatch } from '../../lib/sync/batch.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { addRegistryRow, registryRow, untyped } from '../support/fixture-rows.ts'
import { folderContents } from '../support/folder-contents.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { proxyTransfers, type TransferProxy } from '../support/transfer-proxy.ts'
import { until } from '../support/until.ts'

let primary: PrimarySite
let proxy: TransferProxy
let tracking: Knex
let site: AssembledSite
let root: string

beforeAll(async () => {
  primary = await createPrimarySite()
  proxy = await proxyTransfers(primary.url)
  tracking = primary.databases.tracking
  await primary.databases
    .main('geo_nodes')
    .where({ name: 'tokyo' })
    .update({ internal_url: `${proxy.url}/` })
})
afterAll(async () => {
  await proxy?.close()
  await primary?.close()
})
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_leases', 'geo_stores']) await tracking(table).delete()
  proxy.askedFor.clear()
  root = await mkdtemp(join(tmpdir(), 'geo-lease-'))
  site = await assembleSecondary(primary.databases, { root })
})
afterEach(async () => {
  proxy.release()
  await site.close()
  await rm(root, { recursive: true, force: true })
})

const widgets = () => untyped(primary.replicables.widgets)
const row = (id: string) => registryRow(tracking, widgets(), id)

async function claimed(): Promise<{ id: string; batch: SyncBatch }> {
  const id = await primary.addWidget('a/b', 'bytes')
  await addRegistryRow(tracking, widgets(), id)
  const batch = await site.parts.sources.sync.claim()
  if (!batch) throw new Error('There was nothing to claim')
  return { id, batch }
}

/** As after a stop of the whole process for so long: no timer has run yet. */
const passUnseen = (lease: SyncBatch['lease']) => Atomics.store(lease.endsAt, 0, process.hrtime.bigint() - 1n)

describe('A process that was stopped for longer than its lease', () => {
  it('sends no request for what it had claimed before', async () => {
    const { id, batch } = await claimed()
    passUnseen(batch.lease)
    await site.parts.sources.sync.work(batch)
    expect(proxy.askedFor.size).toBe(0)
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.started, lease_id: batch.lease.id })
    expect(site.parts.sources.sync.refusal).toBeNull()
  })

  it('marks nothing and gives no file its name, though the blob has come', async () => {
    const { id, batch } = await claimed()
    proxy.hold()
    const working = site.parts.sources.sync.work(batch)
    await until(() => proxy.open === 1)
    proxy.release()
    passUnseen(batch.lease)
    await working
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.started })
    expect((await folderContents(root)).filter((entry) => !entry.startsWith('.geo-store.json'))).toEqual(['a/'])
  })

  it('gives no file its name under a lock that its database may have given up', async () => {
    const { batch } = await claimed()
    await writeFile(join(root, '.geo-tmp-1'), 'bytes')
    const threads = new TransferThreads(1)
    try {
      const blob = { outcome: 'received', id: '1', key: 'c', temporaryPath: join(root, '.geo-tmp-1') } as const
      const received = { ...blob, notePath: null, bytes: 5, expected: null, stored: null, folders: [root] }
      const how = { root, durable: true, names: 'free', algorithm: 'xxh64' } as const
      const place = () => threads.place({ ...how, blobs: [received], endsAt: batch.lease.endsAt })
      passUnseen(batch.lease)
      expect(await place()).toBeNull()
      expect(await readFile(join(root, 'c')).catch(() => null)).toBeNull()
    } finally {
      await threads.close()
    }
  })
})

it('A process that cannot renew its lease cuts its transfers before the lease ends', async () => {
  const { id, batch } = await claimed()
  proxy.hold()
  const working = site.parts.sources.sync.work(batch)
  await until(() => proxy.open === 1)
  // Nothing was renewed meanwhile: the lease has 1 s left.
  site.clock.advance(LEASE_MS - 1000)
  site.parts.leases.cutExpiring()
  await working
  await until(() => proxy.open === 0)
  const { rows } = await tracking.raw('select expires_at > clock_timestamp() as lives from geo_leases where id = ?', [
    batch.lease.id,
  ])
  expect(rows).toEqual([{ lives: true }])
  expect(await row(id)).toMatchObject({ state: SYNC_STATE.started, retry_count: 0 })
  expect(await readFile(join(root, 'a/b')).catch(() => null)).toBeNull()
})
