import request from 'supertest'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { STATUS_PATH } from '../../lib/transfer/status.ts'
import { signAsMe } from '../../lib/transfer/token.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { statusShape } from '../../lib/view/status/fields.ts'
import { presentStatus } from '../../lib/view/status/present.ts'
import { statusesOf } from '../../lib/view/status/read.ts'
import { missingElsewhere } from '../../lib/view/up-to-date.ts'
import { HOSTILE_STATUSES } from '../support/hostile-statuses.ts'
import { createWatchedSites, type WatchedSites } from '../support/watched-sites.ts'

const QUERY = `{ geoNode(name: "paris") { progress { health types {
  name count syncedCount inFlightCount pendingBytes blobsPerSecond bytesPerSecond oldestUnsyncedSeconds remainingSeconds
} } } }`
const METRICS_TOKEN = '0123456789abcdef'

let sites: WatchedSites
let good: Readonly<Record<string, unknown>>

beforeAll(async () => {
  sites = await createWatchedSites({
    both: { authorize: () => true, metrics: { token: METRICS_TOKEN } },
    rome: { graphql: geoGraphql() },
  })
  await sites.gatherAll()
  const { main } = sites.paris.databases
  const [row] = await main('geo_node_statuses').where({ geo_node_id: parisId() }).select('status')
  good = row.status
})
afterAll(() => sites?.close())
beforeEach(() => void sites.paris.logger.lines.splice(0))

const parisId = () => String(sites.rome.sites.all.find(({ name }) => name === 'paris')?.id)

async function tell(status: Readonly<Record<string, unknown>>): Promise<void> {
  const { assembly } = sites.paris
  const report = { cursor_xact_id: '1', cursor_last_event_id: '1', system_identifier: 'x', timeline: 1, status }
  await request(sites.url)
    .post(STATUS_PATH.slice(1))
    .set('authorization', await signAsMe(assembly.sites, { scope: 'geo_api' }, assembly.settings.clock))
    .send(report)
    .expect(201)
}

describe('Whatever a secondary has told of itself, the primary shows', () => {
  it.each(HOSTILE_STATUSES)('with %s', async (_, of) => {
    await tell(of(good))
    for (const path of ['admin/geo/sites', 'api/v4/geo_nodes/status', `api/v4/geo_nodes/${parisId()}/status`]) {
      expect((await request(sites.url).get(path)).status, path).toBe(200)
    }
    const scraped = await request(sites.url).get('metrics').set('authorization', `Bearer ${METRICS_TOKEN}`)
    expect(scraped.text).toContain('geo_site_healthy{')
    const answer = await request(sites.url).post('api/graphql').send({ query: QUERY })
    expect(answer.body).toMatchObject({ data: { geoNode: { progress: { types: [{ name: 'widget' }, {}] } } } })
    expect(answer.body.errors).toBeUndefined()
    for (const status of (await statusesOf(sites.rome, sites.rome.sites.all)).values()) {
      statusShape(sites.rome.settings.replicables).parse(status)
    }
    const { sites: directory, settings } = sites.rome
    const [site] = directory.all.filter(({ primary }) => !primary)
    expect(await missingElsewhere(sites.rome, site ? [site] : [], settings.replicables)).not.toEqual([])
    expect(sites.paris.logger.lines.filter(({ level }) => level !== 'info' && level !== 'debug')).toEqual([])
  })

  it('with any of its values in any wrong place, as the published shape has it', () => {
    const { replicables } = sites.rome.settings
    const [site] = sites.rome.sites.all.filter(({ name }) => name === 'paris')
    if (!site) throw new Error('There is no paris')
    const shape = statusShape(replicables)
    const stored = {
      updatedAt: null,
      updatedAgeSeconds: 1,
      lastReportAt: 1,
      lastReportAgeSeconds: 1,
      clockSkewMs: null,
    }
    const shared = { site, primaryStatus: good, replicables, apiUrl: '/', wording: 'node' } as const
    for (const status of everyWay(good)) shape.parse(presentStatus({ ...shared, stored: { ...stored, status } }))
  })
})

const WRONG: readonly unknown[] = [null, true, 'x', -1, 1.5, 2 ** 53, 1e308, [], {}, [null], { toString: 'x' }]

/** The status with each of its values, at any depth, replaced by each that is wrong in most places. */
function* everyWay(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return
  for (const [name, item] of Object.entries(value)) {
    const put = (other: unknown) =>
      (Array.isArray(value) ? value.with(Number(name), other) : { ...value, [name]: other }) as Record<string, unknown>
    for (const wrong of WRONG) yield put(wrong)
    for (const changed of everyWay(item)) yield put(changed)
  }
}
