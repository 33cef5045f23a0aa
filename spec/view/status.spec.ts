import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { step } from '../../lib/testing/settle.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { statusShape } from '../../lib/view/status/fields.ts'
import { statusesOf } from '../../lib/view/status/read.ts'
import { addHostRow, addRegistryRow } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

let paris: SecondarySite
let rome: Assembly
let server: Server
let isWidgetOn = true

beforeAll(async () => {
  paris = await createSecondarySite({
    features: { isEnabled: (flag: string) => flag !== 'geo_widget_replication' || isWidgetOn },
  })
  const { settings } = paris.assembly
  rome = assemble(
    parseOptions({
      siteName: 'rome',
      mainDb: paris.databases.main,
      replicables: Object.values(declareReplicables(paris.root)).filter((value) => 'blob' in value),
      features: { isEnabled: (flag: string) => flag !== 'geo_widget_replication' || isWidgetOn },
      encryptionKey: settings.encryptionKey.toString('hex'),
      revision: 'r7',
      clock: paris.clock,
      logger: paris.logger,
      work: false,
    }),
  )
  server = createServer(express().use(rome.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await paris.databases.main('geo_nodes').where({ name: 'rome' }).update({ url })
  await rome.sites.refresh()
  await paris.databases.caughtUp()
  await paris.assembly.sites.refresh()
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await rome?.stop()
  await paris?.close()
})

async function gatherAll(): Promise<void> {
  await step(rome, 'throughput')
  await rome.viewing.gathering.gather()
  await step(paris.assembly, 'throughput')
  await paris.databases.caughtUp()
  await paris.assembly.viewing.gathering.gather()
  await paris.run('events')
  await step(paris.assembly, 'report-position')
  await paris.databases.caughtUp()
}

describe('The status of a site', () => {
  it('has every field of the published shape, and no other, before and after it was gathered, on both sites', async () => {
    const shape = statusShape(paris.assembly.settings.replicables)
    const check = async () => {
      for (const assembly of [rome, paris.assembly]) {
        for (const status of (await statusesOf(assembly, assembly.sites.all)).values()) shape.parse(status)
      }
    }
    await check()
    await gatherAll()
    await check()
    isWidgetOn = false
    await gatherAll()
    await check()
    isWidgetOn = true
  })

  it('is told to the primary with the skew of the clocks, and says what each site holds', async () => {
    const { databases, widgets, assembly } = paris
    const id = await addHostRow(databases.main, widgets)
    await addRegistryRow(databases.tracking, widgets, id, {
      state: S.synced,
      verification_state: V.succeeded,
      bytes: 9,
    })
    await addRegistryRow(databases.tracking, widgets, '99', { state: S.pending, bytes: 4 })
    await gatherAll()
    const asPrimary = await statusesOf(rome, rome.sites.all)
    const [primary, secondary] = rome.sites.all.map((site) => asPrimary.get(site.id))
    expect(primary).toMatchObject({ widgets_count: 1, widgets_registry_count: null, revision: 'r7' })
    expect(secondary).toMatchObject({
      widgets_count: 2,
      widgets_checksummed_count: null,
      widgets_synced_count: 1,
      widgets_synced_in_percentage: '50.00%',
      widgets_verified_in_percentage: '100.00%',
      storage_shards_match: true,
      clock_skew_seconds: expect.closeTo(0, 0),
      progress: { widgets: { synced_bytes: 9, pending_bytes: 4, remaining_seconds: null } },
    })
    const own = await facadeOf(assembly).status()
    expect(own).toMatchObject({ widgets_count: 2, health: secondary?.['health'] })
  })
})

describe('What the databases of a site say is in its status as it is by hand', () => {
  const newest = async () =>
    (await paris.databases.main('geo_events').orderBy('id', 'desc').first('id', 'created_at')) as {
      id: string
      created_at: Date
    }
  const unixSeconds = (moment: Date) => Math.floor(moment.getTime() / 1000)

  it('the newest event, and the one up to which a secondary has handled all', async () => {
    const { main, caughtUp } = paris.databases
    const add = (at: string) =>
      main('geo_events').insert({
        replicable_name: 'widget',
        event_name: 'created',
        payload: '{"model_record_id":"1"}',
        created_at: at,
      })
    await add('2026-01-02T03:04:05Z')
    await caughtUp()
    // In its turn: a transaction of another spec holds the cursor of every database of the cluster.
    await paris.hearInTurn()
    const handled = await newest()
    await add('2026-02-03T04:05:06Z')
    const unread = await newest()
    await caughtUp()
    await rome.viewing.gathering.gather()
    await paris.assembly.viewing.gathering.gather()
    const seen = { last_event_id: Number(unread.id), last_event_timestamp: unixSeconds(unread.created_at) }
    expect(await facadeOf(rome).status()).toMatchObject({
      ...seen,
      cursor_last_event_id: null,
      cursor_last_event_timestamp: 0,
      db_replication_lag_seconds: null,
    })
    expect(await facadeOf(paris.assembly).status()).toMatchObject({
      ...seen,
      cursor_last_event_id: Number(handled.id),
      cursor_last_event_timestamp: unixSeconds(handled.created_at),
      db_replication_lag_seconds: expect.any(Number),
      replication_slots_count: null,
      replication_slots_used_count: null,
    })
    await paris.hear()
  })

  it('the replication slots of the primary, those without a connection too', async () => {
    const { main } = paris.databases
    const slot = `geo_spec_${process.pid}`
    // It reserves WAL at once, so that it holds some back.
    await main.raw('select pg_create_physical_replication_slot(?, true)', [slot])
    const slots = (await main('pg_replication_slots').where({ slot_type: 'physical' })) as { active: boolean }[]
    await rome.viewing.gathering.gather()
    await main.raw('select pg_drop_replication_slot(?)', [slot])
    const used = slots.filter(({ active }) => active).length
    const status = await facadeOf(rome).status()
    expect(used).toBeLessThan(slots.length)
    expect(status).toMatchObject({
      replication_slots_count: slots.length,
      replication_slots_used_count: used,
      replication_slots_used_in_percentage: `${((used / slots.length) * 100).toFixed(2)}%`,
    })
    expect(status.replication_slots_max_retained_wal_bytes).toBeGreaterThan(0)
  })
})

it('keeps the last value of a number that cannot be gathered, and names it', async () => {
  const { tracking } = paris.databases
  await gatherAll()
  await tracking.schema.renameTable('widget_registry', 'widget_registry_away')
  await paris.assembly.viewing.gathering.gather()
  await tracking.schema.renameTable('widget_registry_away', 'widget_registry')
  const status = await facadeOf(paris.assembly).status()
  expect(status).toMatchObject({ widgets_synced_count: 1, gadgets_synced_count: 0 })
  expect(status.outdated_fields).toContain('widgets_synced_count')
  expect(status.outdated_fields).not.toContain('gadgets_synced_count')
})
