import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createGeo } from '../../lib/index.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { loadOwnStatus, storeGathered } from '../../lib/site-status-table.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { PROCESS_METRICS } from '../../lib/view/metrics/catalogue.ts'
import { addHostRow, addRegistryRow, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { hasPromtool, promtool } from '../support/promtool.ts'
import { timedStatements } from '../support/timed-statements.ts'
import { createWatchedSites, type WatchedSites } from '../support/watched-sites.ts'

const TOKEN = 'scrape-me-0123456789'
const registry = new Registry()
let sites: WatchedSites
let isGadgetOn = true

beforeAll(async () => {
  sites = await createWatchedSites({
    both: { features: { isEnabled: (flag) => flag !== 'geo_gadget_replication' || isGadgetOn } },
    rome: {
      metrics: { token: TOKEN },
      authorize: (request, ability) => request.get('x-may') === ability,
    },
    paris: { metrics: { registry } },
  })
  const { databases, widgets } = sites.paris
  const id = await addHostRow(databases.main, widgets)
  await addHostRow(databases.main, widgets)
  await addRegistryRow(databases.tracking, widgets, id, { state: S.synced, verification_state: V.succeeded, bytes: 9 })
  await addRegistryRow(databases.tracking, widgets, '99', { state: S.failed, error_code: 'FILE_NOT_FOUND' })
  await sites.gatherAll()
})
afterAll(() => sites?.close())
beforeEach(() => sites.paris.clock.advance(6000))

async function scrapeRome(headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }): Promise<Response> {
  return fetch(`${sites.url}metrics`, { headers })
}
const textOfRome = async () => (await scrapeRome()).text()
const samplesOf = (text: string, site: string) => text.split('\n').filter((line) => line.includes(`name="${site}"`))

describe('A scrape', () => {
  it('is for whoever has the token or may read_geo, and for nobody else', async () => {
    expect((await scrapeRome()).headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect((await scrapeRome({ 'x-may': 'read_geo' })).status).toBe(200)
    for (const headers of [
      {},
      { 'x-may': 'admin_geo' },
      { authorization: `Bearer ${TOKEN}x` },
      { authorization: TOKEN },
    ])
      expect((await scrapeRome(headers as Record<string, string>)).status).toBe(403)
  })

  it('of the primary shows itself and every secondary, by the names and labels of existing dashboards', async () => {
    const text = await textOfRome()
    expect(samplesOf(text, 'rome')).toEqual(
      expect.arrayContaining([
        'geo_widgets{name="rome",url="rome"} 2',
        'geo_widgets_checksum_total{name="rome",url="rome"} 2',
        'geo_widgets_checksummed{name="rome",url="rome"} 0',
        'geo_widgets_checksum_failed{name="rome",url="rome"} 0',
        'geo_site_healthy{name="rome",url="rome"} 1',
      ]),
    )
    expect(samplesOf(text, 'paris')).toEqual(
      expect.arrayContaining([
        'geo_widgets{name="paris",url="paris"} 2',
        'geo_widgets_synced{name="paris",url="paris"} 1',
        'geo_widgets_failed{name="paris",url="paris"} 1',
        'geo_widgets_registry{name="paris",url="paris"} 2',
        'geo_widgets_verification_total{name="paris",url="paris"} 1',
        'geo_widgets_verified{name="paris",url="paris"} 1',
        'geo_widgets_verification_failed{name="paris",url="paris"} 0',
        'geo_widgets_synced_bytes{name="paris",url="paris"} 9',
        // Other specs keep the replica busy.
        expect.stringMatching(/^geo_db_replication_lag_seconds\{name="paris",url="paris"\} \d+$/),
      ]),
    )
    expect(text).toContain('# HELP geo_widgets_synced Number of widgets synced on the secondary\n')
    expect(text, 'nulls are skipped').not.toMatch(/geo_widgets_checksummed\{name="paris"/)
    expect(text).not.toMatch(/_percentage|NaN/)
  })

  it('of a secondary shows itself, on the registry of the host, with its reports that failed', async () => {
    await sites.cut()
    await expect(sites.report()).rejects.toThrow()
    await expect(sites.report()).rejects.toThrow()
    await sites.mend()
    const text = await registry.metrics()
    expect(samplesOf(text, 'paris')).toContain('geo_widgets_synced{name="paris",url="paris"} 1')
    expect(samplesOf(text, 'paris')).toContain('geo_status_failed_total{name="paris",url="paris"} 2')
    expect(samplesOf(text, 'rome').filter((line) => !line.startsWith('geo_transfers'))).toEqual([])
    expect(await (await fetch(`${sites.url}metrics`)).text()).not.toContain('geo_')
    await sites.report()
    // A counter: what got through afterwards takes nothing from it.
    expect(samplesOf(await registry.metrics(), 'paris')).toContain(
      'geo_status_failed_total{name="paris",url="paris"} 2',
    )
  })

  it('leaves out disabled sites, and types whose flag is off', async () => {
    isGadgetOn = false
    await sites.gatherAll()
    expect(await textOfRome()).not.toMatch(/^geo_gadgets(_\w+)?\{/m)
    isGadgetOn = true
    await sites.gatherAll()
    expect(await textOfRome()).toMatch(/^geo_gadgets\{/m)
    await sites.paris.update({ enabled: false })
    sites.paris.clock.advance(6000)
    expect(await textOfRome()).not.toContain('name="paris"')
    await sites.paris.update({ enabled: true })
    sites.paris.clock.advance(6000)
    expect(await textOfRome()).toContain('name="paris"')
  })

  it('runs few statements however many rows there are, and none that counts', async () => {
    const statements: string[] = []
    sites.rome.databases.main.on('query', ({ sql }: { sql: string }) => void statements.push(sql))
    await Promise.all([textOfRome(), textOfRome()])
    const few = statements.splice(0).length
    for (let row = 0; row < 20; row++) await addHostRow(sites.paris.databases.main, sites.paris.widgets)
    sites.paris.clock.advance(6000)
    await textOfRome()
    expect(statements.length).toBeLessThanOrEqual(few)
    expect(statements.length).toBeLessThan(8)
    expect(statements.join('\n')).not.toMatch(/count\s*\(/i)
  })

  it('shows in each gauge the field that it is named for', async () => {
    const tracking = sites.paris.databases.tracking
    const before = (await loadOwnStatus(tracking))?.status ?? {}
    // Another number for each field, so that none can stand in for another.
    let n = 1000
    const numbered = (fields: readonly string[]) => Object.fromEntries(fields.map((field) => [field, n++]))
    const ofSite = numbered([
      ...['db_replication_lag_seconds', 'replication_slots_count', 'replication_slots_used_count'],
      ...['replication_slots_max_retained_wal_bytes', 'last_event_id', 'last_event_timestamp'],
      ...['cursor_last_event_id', 'cursor_last_event_timestamp'],
    ])
    const ofType = numbered([
      ...[
        'widgets_count',
        'widgets_checksum_total_count',
        'widgets_checksummed_count',
        'widgets_checksum_failed_count',
      ],
      ...['widgets_synced_count', 'widgets_failed_count', 'widgets_registry_count', 'widgets_verification_total_count'],
      ...['widgets_verified_count', 'widgets_verification_failed_count'],
    ])
    const progress = numbered([
      ...['corrupt_count', 'synced_bytes', 'pending_bytes', 'in_flight_count'],
      ...['oldest_unsynced_seconds', 'remaining_seconds'],
    ])
    await storeGathered(tracking, { ...before, ...ofSite, ...ofType, progress: { widgets: progress } })
    const fieldOf = new Map(
      [
        ...Object.entries({ ...ofSite, ...ofType }),
        ...Object.entries(progress).map(([name, value]) => [`widgets_${name}`, value] as const),
      ].map(([field, value]) => [value, field]),
    )
    const shown = samplesOf(await registry.metrics(), 'paris').flatMap((line) => {
      const [, gauge, value] = /^geo_(\w+)\{name="paris",url="paris"\} (\d{4})$/.exec(line) ?? []
      return gauge === undefined ? [] : [[gauge, fieldOf.get(Number(value))?.replace(/_count$/, '')]]
    })
    await storeGathered(tracking, before)
    expect(shown).toHaveLength(fieldOf.size)
    for (const [gauge, field] of shown) expect(gauge).toBe(field)
  })

  it('of a secondary reads what the site has stored of itself once', async () => {
    const { databases } = sites.paris.assembly
    const dbs = [databases.main, ...(databases.tracking ? [databases.tracking] : [])]
    const statements = await timedStatements(dbs, () => registry.metrics())
    expect(statements.filter(({ sql }) => sql.includes('geo_site_status'))).toHaveLength(1)
    expect(statements.filter(({ sql }) => sql.includes('geo_node_statuses'))).toHaveLength(1)
    expect(statements.length).toBeLessThan(8)
  })

  it('tells of the process while no database can be read', async () => {
    const { sites: directory } = sites.rome
    const ensureFresh = directory.ensureFresh.bind(directory)
    directory.ensureFresh = () => Promise.reject(new Error('the database is away'))
    const text = await textOfRome()
    directory.ensureFresh = ensureFresh
    expect(text).toContain('geo_leases_held{name="rome"} 0')
    expect(text).not.toMatch(/^geo_widgets\{/m)
  })
})

describe('What the process does', () => {
  it('is counted by type, outcome and code', async () => {
    const { signals } = sites.paris.assembly
    const type = 'widget'
    signals.tell('blob:started', { type, id: '1', waitedSeconds: 0.3 })
    signals.tell('blob:synced', { type, id: '1', key: 'k', bytes: 70, seconds: 0.2, fetched: true })
    signals.tell('blob:synced', { type, id: '2', key: 'k', bytes: 70, seconds: 0.2, fetched: false })
    signals.tell('blob:verified', { type, id: '1', site: 'secondary', seconds: 0.02, lagSeconds: 0.7 })
    signals.tell('blob:failed', {
      type,
      id: '3',
      during: 'sync',
      code: 'FILE_NOT_FOUND',
      message: '',
      retryInSeconds: 1,
    })
    signals.tell('blob:removed', { type, id: '1' })
    signals.tell('transfer:ended', { type, blobs: 2, outcome: 'answered', seconds: 0.1 })
    const lines = (await registry.metrics()).split('\n')
    for (const line of [
      'geo_transfers_total{name="paris",type="widget",outcome="answered"} 1',
      'geo_blobs_synced_total{name="paris",type="widget",fetched="true"} 1',
      'geo_received_bytes_total{name="paris",type="widget"} 70',
      'geo_failures_total{name="paris",type="widget",during="sync",code="FILE_NOT_FOUND"} 1',
      'geo_blobs_removed_total{name="paris",type="widget"} 1',
      'geo_lag_seconds_bucket{le="1",name="paris",type="widget"} 1',
      'geo_lag_seconds_bucket{le="0.5",name="paris",type="widget"} 0',
      'geo_queue_wait_seconds_count{name="paris",type="widget"} 1',
      'geo_verification_seconds_count{name="paris",type="widget"} 1',
      'geo_sync_seconds_count{name="paris",type="widget"} 2',
      'geo_transfers_paused{name="paris"} 0',
      'geo_threads{name="paris",pool="checksum"} 0',
    ])
      expect(lines).toContain(line)
    for (const { name } of Object.values(PROCESS_METRICS))
      expect(
        lines.some((line) => line.startsWith(`# TYPE ${name} `)),
        name,
      ).toBe(true)
  })
})

describe('The option', () => {
  const options = () => ({
    siteName: 'rome',
    mainDb: sites.paris.databases.main,
    replicables: sites.rome.settings.replicables,
    encryptionKey: ENCRYPTION_KEY.toString('hex'),
    work: false,
  })

  it('gives several instances in a process one registry, and what has stopped tells no more', async () => {
    const shared = new Registry()
    const first = createGeo({ ...options(), metrics: { registry: shared } })
    const second = createGeo({ ...options(), siteName: 'nowhere', metrics: { registry: shared } })
    expect(await shared.metrics()).toContain('geo_widgets{name="rome",url="rome"}')
    await first.stop()
    await second.stop()
    expect(await shared.metrics()).not.toContain('geo_widgets{name="rome"')
  })

  it('says which metric of the host has a name of ours, and refuses a short token', async () => {
    const taken = new Registry()
    const { Gauge } = await import('prom-client')
    new Gauge({ name: 'geo_threads', help: 'of the host', registers: [taken] })
    expect(() => createGeo({ ...options(), metrics: { registry: taken } })).toThrow(/metrics\.registry: .*geo_threads/)
    expect(() => createGeo({ ...options(), metrics: { token: 'short' } })).toThrow(/metrics\.token/)
    expect(() => createGeo({ ...options(), metrics: { registry: {} as Registry } })).toThrow(/prom-client/)
  })
})

it.runIf(hasPromtool)('promtool finds nothing wrong but the two given gauge names that end in _total', async () => {
  const { output } = await promtool(['check', 'metrics'], `${await textOfRome()}\n`)
  const remarks = output.split('\n').filter(Boolean)
  expect(remarks.filter((remark) => !/^geo_(widgets|gadgets)_(checksum|verification)_total /.test(remark))).toEqual([])
  expect(remarks).toHaveLength(4)
})
