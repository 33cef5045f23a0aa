import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { facadeOf } from '../lib/facade.ts'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { type AssembledSite, assembleSecondary } from './support/assembled-site.ts'
import { registryRow, untyped } from './support/fixture-rows.ts'
import { createPrimarySite, type PrimarySite } from './support/primary-site.ts'
import { proxyTransfers, type TransferProxy } from './support/transfer-proxy.ts'
import { until } from './support/until.ts'

/** Well below the 20 s after which a lease ends by itself. */
const AT_ONCE_MS = 5000

let primary: PrimarySite
let proxy: TransferProxy
let tracking: Knex
let root: string
const processes: AssembledSite[] = []
const unhandled: unknown[] = []
const askedClosedPools: string[] = []
const keepUnhandled = (reason: unknown) => void unhandled.push(reason)

beforeAll(async () => {
  process.on('unhandledRejection', keepUnhandled)
  primary = await createPrimarySite()
  proxy = await proxyTransfers(primary.url)
  tracking = primary.databases.tracking
  root = await mkdtemp(join(tmpdir(), 'geo-lifecycle-'))
  await primary.databases
    .main('geo_nodes')
    .where({ name: 'tokyo' })
    .update({ internal_url: `${proxy.url}/` })
  await primary.databases.main('geo_nodes').where({ name: 'paris' }).update({ files_max_capacity: 1 })
})
afterAll(async () => {
  await proxy?.close()
  await primary?.close()
  await rm(root, { recursive: true, force: true })
  process.off('unhandledRejection', keepUnhandled)
})
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_leases', 'geo_event_cursors']) await tracking(table).delete()
  await primary.databases.main('widgets').delete()
})
afterEach(async () => {
  proxy.release()
  await Promise.all(processes.splice(0).map((site) => site.close()))
  expect(unhandled).toEqual([])
  expect(askedClosedPools).toEqual([])
})

/** A process of paris. What it asks of a pool that is closed is remembered. */
async function openProcess(): Promise<AssembledSite> {
  const site = await assembleSecondary(primary.databases, { root })
  for (const [name, pool] of Object.entries(site.parts.databases)) {
    if (!pool || !('client' in pool)) continue
    const { client } = pool
    const acquire = client.acquireConnection
    client.acquireConnection = () => {
      if (!client.pool || client.pool.destroyed) askedClosedPools.push(name)
      return acquire.call(client)
    }
  }
  processes.push(site)
  return site
}

/** A row whose file waits to be fetched. A process that runs may have registered it already. */
async function addWaiting(path: string): Promise<string> {
  const id = await primary.addWidget(path, 'bytes')
  await tracking('widget_registry')
    .insert({ widget_id: id, created_at: tracking.fn.now() })
    .onConflict('widget_id')
    .ignore()
  return id
}

const stateOf = async (id: string) => (await registryRow(tracking, untyped(primary.replicables.widgets), id))?.['state']
const holdersOf = (kind: string) => tracking('geo_leases').where({ kind }).pluck('holder')

async function elapsedMs(act: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now()
  await act()
  return performance.now() - startedAtMs
}

describe('drain', () => {
  it('takes no new work, lets what runs finish, and says whether it did in time', async () => {
    const site = await openProcess()
    const running = await addWaiting('a/running')
    proxy.hold()
    await site.parts.start()
    await until(() => proxy.open === 1)
    expect(await site.parts.drain({ timeoutMs: 50 })).toBe(false)

    const later = await addWaiting('a/later')
    proxy.release()
    expect(await site.parts.drain({ timeoutMs: 10_000 })).toBe(true)
    expect(await stateOf(running)).toBe(SYNC_STATE.synced)
    expect(await stateOf(later)).toBe(SYNC_STATE.pending)
  })

  it('reads no more events and compares no more keys, and leaves both to another process at once', async () => {
    const [first, second] = [await openProcess(), await openProcess()]
    await first.parts.start()
    await until(async () => (await holdersOf('events')).includes(first.parts.leases.holder))
    await until(async () => (await holdersOf('reconcile')).includes(first.parts.leases.holder))
    await second.parts.start()
    expect(await first.parts.drain({ timeoutMs: 10_000 })).toBe(true)
    const taken = await elapsedMs(async () => {
      for (const kind of ['events', 'reconcile']) {
        await until(async () => (await holdersOf(kind)).includes(second.parts.leases.holder), AT_ONCE_MS)
      }
    })
    expect(taken).toBeLessThan(AT_ONCE_MS)
  })
})

describe('stop', () => {
  it('cuts transfers and gives their rows back at once, without counting a failure', async () => {
    const [first, second] = [await openProcess(), await openProcess()]
    const id = await addWaiting('a/cut')
    proxy.hold()
    await first.parts.start()
    await until(() => proxy.open === 1)
    await second.parts.start()
    expect(await elapsedMs(() => first.parts.stop())).toBeLessThan(AT_ONCE_MS)
    expect(await tracking('geo_leases').where({ holder: first.parts.leases.holder })).toEqual([])
    expect(await registryRow(tracking, untyped(primary.replicables.widgets), id)).toMatchObject({ retry_count: 0 })
    const taken = await elapsedMs(async () => {
      proxy.release()
      await until(async () => (await stateOf(id)) === SYNC_STATE.synced, AT_ONCE_MS)
    })
    expect(taken).toBeLessThan(AT_ONCE_MS)
    expect(first.logger.codes()).toEqual([])
  })

  it('twice is once, and start after it does nothing', async () => {
    const site = await openProcess()
    await site.parts.start()
    const stopped = site.parts.stop()
    expect(site.parts.stop()).toBe(stopped)
    await stopped
    await site.parts.start()
    expect(await site.parts.drain({ timeoutMs: 10_000 })).toBe(true)
    expect(await tracking('geo_leases')).toEqual([])
  })

  it('works during a start', async () => {
    const site = await openProcess()
    await addWaiting('a/b')
    const starting = site.parts.start()
    await site.parts.stop()
    await starting
    expect(site.logger.codes()).toEqual([])
    expect(await tracking('geo_leases')).toEqual([])
  })

  it('works during a drain', async () => {
    const site = await openProcess()
    await addWaiting('a/b')
    proxy.hold()
    await site.parts.start()
    await until(() => proxy.open === 1)
    const draining = site.parts.drain({ timeoutMs: 60_000 })
    await site.parts.stop()
    expect(await draining).toBe(true)
    expect(await tracking('geo_leases')).toEqual([])
  })

  it('leaves no query for a closed pool: whoever still asks hears that the process has stopped', async () => {
    const site = await openProcess()
    const geo = facadeOf(site.parts)
    const server = createServer(express().use(geo.router))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      await geo.start()
      // In full flight: every loop has something under way.
      for (let n = 0; n < 20; n += 1) await addWaiting(`a/${n}`)
      await until(async () => (await tracking('widget_registry').where({ state: SYNC_STATE.synced })).length > 0)
      await geo.stop()
      expect((await geo.health()).findings.map(({ code }) => code)).toContain('STOPPED')
      await expect(geo.sites.list()).rejects.toMatchObject({ code: 'STOPPED' })
      await expect(geo.bulk.list()).rejects.toMatchObject({ code: 'STOPPED' })
      const { port } = server.address() as AddressInfo
      site.clock.advance(60_000)
      const response = await fetch(`http://127.0.0.1:${port}/api/v4/geo/retrieve/widget/1`)
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({ code: 'STOPPED' })
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})
