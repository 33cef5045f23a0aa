import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import request from 'supertest'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Assembly } from '../../lib/assembly.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { insertSite } from '../../lib/site-table.ts'
import { step } from '../../lib/testing/settle.ts'
import { addThroughput } from '../../lib/throughput-table.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { statusOf } from '../../lib/view/status/read.ts'
import { addRegistryRow, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { addRecord } from '../support/primary-records.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'
import { timedStatements } from '../support/timed-statements.ts'
import { until } from '../support/until.ts'

let paris: SecondarySite
let rome: Assembly
let server: Server
let off = new Set<string>()
const features = { isEnabled: (flag: string) => ![...off].some((name) => flag === `geo_${name}_replication`) }

beforeAll(async () => {
  paris = await createSecondarySite({ features })
  rome = primaryOf([paris.widgets, paris.gadgets])
  server = createServer(express().use(rome.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await paris.databases.main('geo_nodes').where({ name: 'rome' }).update({ url })
  await paris.databases.caughtUp()
  for (const { sites } of [rome, paris.assembly]) await sites.refresh()
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await rome?.stop()
  await paris?.close()
})
beforeEach(async () => {
  off = new Set()
  const { main, tracking } = paris.databases
  for (const { table, names } of [paris.widgets, paris.gadgets]) {
    await main(table).delete()
    await tracking(names.registryTable).delete()
  }
  await tracking('geo_throughput').delete()
})

function primaryOf(replicables: readonly Replicable[]): Assembly {
  return assemble(
    parseOptions({
      siteName: 'rome',
      mainDb: paris.databases.main,
      replicables: replicables as readonly Replicable<never>[],
      features,
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      authorize: () => true,
      clock: paris.clock,
      logger: paris.logger,
      work: false,
      threads: 1,
    }),
  )
}

/** "33.33%", by hand. */
function share(part: number | null, of: number | null): string {
  return of ? `${(((part ?? 0) / of) * 100).toFixed(2)}%` : '0.00%'
}

const idOf = ({ keyType }: Replicable, n: number) =>
  keyType === 'bigint' ? String(n) : `00000000-0000-0000-0000-${String(n).padStart(12, '0')}`

interface Copy {
  readonly state: number
  readonly verification: number
  readonly leaving: boolean
}
const SYNC = [S.pending, S.started, S.synced, S.failed]
const VERIFICATION = [V.pending, V.started, V.succeeded, V.failed, V.disabled]

describe('The twelve fields of a type are a count by hand', () => {
  it('on the secondary, over every sync state and every verification state, with each flag on and off', async () => {
    const { widgets, gadgets, databases, assembly } = paris
    // Another number of each combination, so that none can stand in for another.
    const copies = SYNC.flatMap((state, i) =>
      VERIFICATION.flatMap((verification, j) =>
        Array.from({ length: 1 + ((i * 5 + j) % 4) }, (_, n): Copy => ({ state, verification, leaving: n === 3 })),
      ),
    )
    for (const type of [widgets, gadgets])
      for (const [n, { state, verification, leaving }] of copies.entries())
        await addRegistryRow(databases.tracking, type, idOf(type, n + 1), {
          state,
          verification_state: verification,
          ...(leaving && { removal_requested_at: new Date() }),
        })
    const count = (wanted: (copy: Copy) => boolean) => copies.filter((copy) => !copy.leaving && wanted(copy)).length
    const isSynced = ({ state }: Copy) => state === S.synced
    const hasFailed = ({ verification }: Copy) => verification === V.failed
    const registry = count(() => true)
    const synced = count(isSynced)
    const total = count((copy) => (isSynced(copy) && copy.verification !== V.disabled) || hasFailed(copy))
    const verified = count((copy) => isSynced(copy) && copy.verification === V.succeeded)
    const numbers = {
      count: registry,
      checksum_total_count: null,
      checksummed_count: null,
      checksum_failed_count: null,
      synced_count: synced,
      failed_count: count(({ state }) => state === S.failed),
      registry_count: registry,
      // Quirk 2 of GB mended: the share is of these, not of the registry.
      verification_total_count: total,
      verified_count: verified,
      // Quirk 3 mended: failures that have moved the row out of synced are among them.
      verification_failed_count: count(hasFailed),
      synced_in_percentage: share(synced, registry),
      verified_in_percentage: share(verified, total),
    }
    await expectFields(assembly, numbers)
  })

  it('on the primary, over every verification state, with and without a file, with each flag on and off', async () => {
    const { widgets, gadgets, databases } = paris
    const records = VERIFICATION.flatMap((verification, i) =>
      Array.from({ length: 2 + i }, (_, n) => ({ verification, key: n === 0 ? null : `k${n}` })),
    )
    for (const type of [widgets, gadgets])
      for (const { verification, key } of records)
        await addRecord(databases.main, type, key, { verification_state: verification })
    const available = records.filter(({ key }) => key !== null)
    const count = (state: number) => available.filter(({ verification }) => verification === state).length
    await expectFields(rome, {
      count: available.length,
      checksum_total_count: available.length,
      checksummed_count: count(V.succeeded),
      checksum_failed_count: count(V.failed),
      synced_count: null,
      failed_count: null,
      registry_count: null,
      verification_total_count: null,
      verified_count: null,
      verification_failed_count: null,
      synced_in_percentage: '0.00%',
      verified_in_percentage: '0.00%',
    })
  })

  /** Of both types, in every combination of their flags. */
  async function expectFields(assembly: Assembly, on: Record<string, number | string | null>): Promise<void> {
    const none = Object.fromEntries(
      Object.keys(on).map((name) => [name, name.endsWith('_percentage') ? '0.00%' : null]),
    )
    for (const flags of [[], ['widget'], ['gadget'], ['widget', 'gadget']]) {
      off = new Set(flags)
      await assembly.viewing.gathering.gather()
      const status = await statusOf(assembly)
      for (const { name, names } of [paris.widgets, paris.gadgets]) {
        const expected = Object.entries(off.has(name) ? none : on).map(([field, n]) => [`${names.plural}_${field}`, n])
        expect(status).toMatchObject(Object.fromEntries(expected))
        expect(expected).toHaveLength(12)
      }
    }
  }
})

it('Progress is what the rows and the last hour say: bytes, in flight, oldest, lag, rates, remaining time', async () => {
  const { widgets, databases, assembly } = paris
  const minutesAgo = (n: number) => new Date(Date.now() - n * 60_000)
  for (const [n, columns] of [
    { state: S.synced, verification_state: V.succeeded, bytes: 100 },
    { state: S.synced, verification_state: V.pending, bytes: 300 },
    { state: S.started, bytes: 50, announced_at: minutesAgo(2) },
    { state: S.pending, created_at: minutesAgo(10) },
    { state: S.failed, announced_at: minutesAgo(5) },
  ].entries())
    await addRegistryRow(databases.tracking, widgets, String(n + 1), columns)
  const lagCounts = [0, 98, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
  await addThroughput(databases.tracking, [
    { type: 'widget', kind: 'verified', blobs: 600, bytes: 0, lagCounts },
    { type: 'widget', kind: 'synced', blobs: 600, bytes: 36_000, lagCounts: null },
  ])
  await assembly.viewing.gathering.gather()
  const { widgets: progress } = (await statusOf(assembly)).progress
  expect(progress).toMatchObject({
    synced_bytes: 400,
    // 50 are known of one, the others count as the mean of those here.
    pending_bytes: 50 + 2 * 200,
    in_flight_count: 1,
    oldest_unsynced_seconds: expect.closeTo(600, -1.5),
    blobs_per_second: { last_minute: 10, last_5_minutes: 2, last_60_minutes: 600 / 3600 },
    bytes_per_second: { last_minute: 600, last_5_minutes: 120, last_60_minutes: 10 },
    remaining_seconds: 2,
  })
  const { buckets, p50, p99 } = progress?.lag_seconds ?? { buckets: [], p50: null, p99: null }
  expect([p50, p99]).toEqual([0.5, 1])
  expect(buckets.slice(0, 4).map(({ count }) => count)).toEqual([0, 98, 99, 99])
  expect(buckets.at(-1)).toEqual({ le: null, count: 100 })
})

it('The skew of a clock that is thirty seconds ahead is measured by a real report', async () => {
  const { assembly, clock, databases } = paris
  await paris.run('events')
  const ahead = assemble(
    parseOptions({
      siteName: 'paris',
      mainDb: databases.standby,
      trackingDb: databases.tracking,
      replicables: assembly.settings.replicables as readonly Replicable<never>[],
      features,
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      clock: { ...clock, nowMs: () => clock.nowMs() + 30_000 },
      logger: paris.logger,
      work: false,
      threads: 1,
    }),
  )
  await ahead.sites.refresh()
  await step(ahead, 'report-position')
  // Within half of the round trip, which is long where threads have to start for it.
  expect((await statusOf(assembly)).clock_skew_seconds).toEqual(expect.closeTo(30, -1))
  await ahead.stop()
})

it('A statement that is cancelled, as a timeout does, costs its numbers their freshness and not the site its health', async () => {
  const { assembly, databases, widgets } = paris
  const { tracking } = databases
  await addRegistryRow(tracking, widgets, '1', { state: S.synced, verification_state: V.succeeded, bytes: 1 })
  await assembly.viewing.gathering.gather()
  const before = await statusOf(assembly)
  let gathering: Promise<void> | undefined
  await tracking.transaction(async (trx) => {
    await trx.raw('lock table widget_registry in access exclusive mode')
    gathering = assembly.viewing.gathering.gather()
    await until(async () => {
      const { rows } = await trx.raw(
        `select pg_cancel_backend(pid) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return rows.length > 0
    })
  })
  await gathering
  const after = await statusOf(assembly)
  expect(after['widgets_synced_count']).toBe(1)
  expect(after.outdated_fields).toContain('widgets_synced_count')
  expect(after.outdated_fields).not.toContain('gadgets_synced_count')
  expect([after.health_status, after.health]).toEqual([before.health_status, before.health])
})

it('A request for statuses sends a constant number of statements, and none that counts', async () => {
  const { main } = paris.databases
  await rome.viewing.gathering.gather()
  const ask = () =>
    timedStatements([rome.databases.main], async () => {
      for (const path of ['/api/v4/geo_nodes', '/api/v4/geo_nodes/status'])
        expect((await request(server).get(`${path}?per_page=100`)).status).toBe(200)
    })
  await ask()
  const few = (await ask()).map(({ sql }) => sql)
  for (let n = 0; n < 30; n += 1) {
    const { id } = await insertSite(main, ENCRYPTION_KEY, { name: `more ${n}`, url: `http://more${n}.test` })
    await main('geo_node_statuses').insert({ geo_node_id: id, updated_at: main.fn.now() })
  }
  const many = (await ask()).map(({ sql }) => sql)
  await main('geo_nodes').whereLike('name', 'more %').delete()
  expect(many).toEqual(few)
  expect(many.length).toBeLessThan(15)
  expect(many.filter((sql) => /count\s*\(|widget|gadget/i.test(sql))).toEqual([])
})
