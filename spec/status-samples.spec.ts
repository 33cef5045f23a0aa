import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { samplesIn } from '../lib/status-sample.ts'
import { loadSamples, storeSamples } from '../lib/status-sample-table.ts'
import { takeReport } from '../lib/take-report.ts'
import { VERIFICATION_STATE } from '../lib/verification/verification-state.ts'
import { samplesOf } from '../lib/view/status/read.ts'
import { addHostRow, addRegistryRow } from './support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from './support/graphql-sites.ts'

let sites: GraphqlSites
let ids: { rome: string; paris: string }
beforeAll(async () => {
  sites = await createGraphqlSites()
  const idOf = (name: string) => sites.rome.sites.byName(name)?.id ?? ''
  ids = { rome: idOf('rome'), paris: idOf('paris') }
})
afterAll(() => sites?.close())
beforeEach(async () => {
  const { main, tracking } = sites.paris.databases
  for (const db of [main, tracking]) await db('geo_status_samples').delete()
  sites.off.clear()
})

const MINUTE = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/)
const at = (name: 'rome' | 'paris') => (name === 'rome' ? sites.rome : sites.paris.assembly)
const samples = (of: 'rome' | 'paris', viewedAt: 'rome' | 'paris') =>
  samplesOf(at(viewedAt), { id: ids[of] }, { minutes: 60 })
const TYPES = () => [sites.paris.widgets, sites.paris.gadgets]

describe('Each status that is stored leaves a sample of its minute', () => {
  it('of the primary: blobs without a checksum; of a secondary: copies that are not verified, and their lag', async () => {
    const { main, tracking } = sites.paris.databases
    const recordIds: string[] = []
    for (let n = 0; n < 3; n += 1) recordIds.push(await addHostRow(main, sites.paris.widgets))
    const [first, second] = recordIds as [string, string]
    await addRegistryRow(tracking, sites.paris.widgets, first, {
      state: SYNC_STATE.synced,
      verification_state: VERIFICATION_STATE.succeeded,
    })
    await addRegistryRow(tracking, sites.paris.widgets, second, { created_at: new Date(Date.now() - 90_000) })
    await sites.gatherAll()

    const [ofRome, ofParis] = [await samples('rome', 'rome'), await samples('paris', 'paris')]
    const empty = { at: MINUTE, type: 'gadget', backlog: 0, blobsPerSecond: 0, bytesPerSecond: null, lagSeconds: null }
    expect(ofRome).toEqual([empty, { ...empty, type: 'widget', backlog: 3 }])
    const gadgets = { ...empty, bytesPerSecond: 0 }
    expect(ofParis).toEqual([gadgets, { ...gadgets, type: 'widget', backlog: 1, lagSeconds: expect.any(Number) }])
    const lag = ofParis[1]?.lagSeconds ?? 0
    expect(lag).toBeGreaterThan(89)
    // What it told the primary, there and on the replica of any site.
    expect(await samples('paris', 'rome')).toEqual(ofParis)
    expect(await samples('rome', 'paris')).toEqual(ofRome)
  })

  it('of types that are on', async () => {
    sites.off.add('gadget')
    await sites.gatherAll()
    for (const site of ['rome', 'paris'] as const) {
      expect((await samples(site, site)).map(({ type }) => type)).toEqual(['widget'])
      expect((await samples(site, 'rome')).map(({ type }) => type)).toEqual(['widget'])
    }
  })
})

describe.each(['main', 'tracking'] as const)('Samples in the %s database', (name) => {
  const db = () => sites.paris.databases[name]
  const sample = (backlog: number | null) => ({
    type: 'widget',
    backlog,
    blobsPerSecond: 1.5,
    bytesPerSecond: 2 ** 40,
    lagSeconds: null,
  })
  const ago = (minutes: number) =>
    db().raw("update geo_status_samples set sampled_at = sampled_at - ? * interval '1 minute'", [minutes])

  it('the last of a minute wins, and those of the asked minutes come, the oldest first', async () => {
    // A minute may end between the statements; then there is one sample more, and the last is the same.
    await storeSamples(db(), '7', [sample(3)])
    await ago(60)
    await storeSamples(db(), '7', [sample(2)])
    await ago(10)
    await storeSamples(db(), '7', [sample(5)])
    await storeSamples(db(), '7', [sample(2 ** 40)])
    await storeSamples(db(), '8', [sample(9)])
    const loaded = await loadSamples(db(), { siteId: '7', minutes: 60 })
    expect(loaded[0]).toEqual({ ...sample(2), at: MINUTE })
    expect(loaded.at(-1)).toEqual({ ...sample(2 ** 40), at: MINUTE })
    const { rowCount } = await db().raw(
      'select from geo_status_samples where geo_node_id = 7 group by sampled_at having count(*) > 1',
    )
    expect(rowCount).toBe(0)
  })

  it('are forgotten after 25 hours, also where nothing is on any more', async () => {
    await storeSamples(db(), '7', [sample(1)])
    await ago(2)
    await storeSamples(db(), '7', [sample(2)])
    await ago(25 * 60 - 1)
    await storeSamples(db(), '7', [])
    expect((await db()('geo_status_samples')).map(({ backlog }) => backlog)).toEqual(['2'])
  })
})

describe('A report is input from outside', () => {
  const hostile = (): Record<string, unknown> => ({
    widgets_registry_count: 10,
    widgets_verified_count: '4; drop table geo_nodes',
    gadgets_registry_count: 1.5,
    progress: {
      widgets: { blobs_per_second: { last_minute: -1 }, bytes_per_second: 'NaN', oldest_unsynced_seconds: {} },
    },
  })

  it('what is not as expected is not known', async () => {
    const unknown = { backlog: null, blobsPerSecond: null, bytesPerSecond: null, lagSeconds: null }
    expect(samplesIn(hostile(), 'secondary', TYPES())).toEqual([{ type: 'widget', ...unknown }])
    for (const progress of [null, 7, [], { widgets: null }, { widgets: [] }]) {
      expect(samplesIn({ ...hostile(), progress }, 'secondary', TYPES())).toEqual([{ type: 'widget', ...unknown }])
    }
    const more = { widgets_registry_count: 2 ** 53, gadgets_registry_count: 3, gadgets_verified_count: 9 }
    expect(samplesIn(more, 'secondary', TYPES())).toEqual([{ type: 'gadget', ...unknown, backlog: 0 }])
  })

  it('is stored all the same', async () => {
    const { main } = sites.paris.databases
    const cursor = { cursor_xact_id: '1', cursor_last_event_id: '1', system_identifier: 's', timeline: 1 }
    await takeReport(main, TYPES())(ids.paris, { ...cursor, status: hostile() })
    expect(await samples('paris', 'rome')).toMatchObject([{ type: 'widget', backlog: null }])
    await takeReport(main, TYPES())(ids.paris, cursor)
    expect(await samples('paris', 'rome')).toHaveLength(1)
  })
})
