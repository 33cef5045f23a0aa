import request, { type Response } from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { SiteDirectory } from '../../lib/site.ts'
import { shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { DocumentedAnswers } from '../support/documented-answers.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { createReadingSites, type ReadingSites, type ServedSite } from '../support/reading-sites.ts'

let sites: ReadingSites
let tokyo: ServedSite
let paris: ServedSite
let answers: DocumentedAnswers
let directory: SiteDirectory

beforeAll(async () => {
  sites = await createReadingSites()
  const options = { authorize: () => true }
  tokyo = await sites.serveAlso('tokyo', { options })
  paris = await sites.serveAlso('paris', { options })
  answers = new DocumentedAnswers((await request(tokyo.url).get('/api/v4/geo/openapi.json')).body)
  directory = new SiteDirectory('tokyo', sites.databases.main, [ENCRYPTION_KEY], systemClock)
  await directory.refresh()
})
afterAll(() => sites.close())
afterEach(() => tokyo.geo.sites.update('paris', { enabled: true }))

function siteNamed(name: string) {
  const site = directory.all.find((known) => known.name === name)
  if (!site) throw new Error(`${name} is unknown`)
  return site
}
const pathOf = (name: string) => `/api/v4/geo_nodes/${siteNamed(name).id}`

async function signed(name: string, scope: TokenScope = { scope: 'geo_api' }, clock = systemClock): Promise<string> {
  const site = siteNamed(name)
  return signRequest(site, directory.secretOf(site), scope, clock)
}

async function put(path: string, authorization: string, body: object, at = tokyo): Promise<Response> {
  const response = await request(at.url).put(path).set('authorization', authorization).send(body)
  return answers.check('put', path, response)
}

describe('a request that a site signs', () => {
  it('pauses and resumes that site alone, also while it is disabled', async () => {
    const paused = await put(pathOf('paris'), await signed('paris'), { enabled: false, unknown: 1 })
    expect([paused.status, paused.body.enabled]).toEqual([200, false])
    const resumed = await put(pathOf('paris'), await signed('paris'), { enabled: true })
    expect([resumed.status, resumed.body.enabled]).toEqual([200, true])
    const other = await put(pathOf('tokyo'), await signed('paris'), { enabled: false })
    expect([other.status, other.body]).toEqual([403, { message: '403 Forbidden' }])
  })

  it('changes nothing else', async () => {
    const response = await put(pathOf('paris'), await signed('paris'), { enabled: false, url: 'http://elsewhere.test' })
    expect([response.status, response.body]).toEqual([
      400,
      { message: '400 Bad request - A site may change only its own enabled' },
    ])
    const primary = await put(pathOf('tokyo'), await signed('tokyo'), { enabled: false })
    expect(primary.body).toEqual({ message: { enabled: ['Geo primary node cannot be disabled'] } })
    expect((await tokyo.geo.sites.list()).map(({ enabled }) => enabled)).toEqual([true, true])
  })

  it('is refused where it is forged, late, or made for something else', async () => {
    const good = await signed('paris')
    const late = shiftedClock()
    late.shiftWall(-3_600_000)
    const { accessKey } = siteNamed('paris')
    for (const header of [
      `${good.slice(0, -3)}abc`,
      good.replace(accessKey, siteNamed('tokyo').accessKey),
      'GL-Geo',
      'GL-Geo nobody:nothing',
      await signed('paris', { replicable_name: 'widget', replicable_id: '1' }),
      await signed('paris', { scope: 'geo_api' }, late),
    ])
      expect([header, (await put(pathOf('paris'), header, { enabled: false })).status]).toEqual([header, 401])
    expect((await tokyo.geo.sites.list())[1]?.enabled).toBe(true)
  })

  it('is a bad request at every other address, whatever the host would say', async () => {
    const base = '/api/v4/geo_sites'
    for (const [method, suffix] of [
      ['get', ''],
      ['post', ''],
      ['get', '/status'],
      ['get', '/status.schema.json'],
      ['get', `/${siteNamed('paris').id}`],
      ['delete', `/${siteNamed('paris').id}`],
      ['post', `/${siteNamed('paris').id}/repair`],
    ] as const) {
      const response = await request(tokyo.url)
        [method](`${base}${suffix}`)
        .set('authorization', await signed('paris'))
      answers.check(method, `${base}${suffix}`, response)
      expect([suffix, response.status, response.body]).toEqual([suffix, 400, { message: '400 Bad request' }])
    }
  })

  it('is for the primary: on a secondary nothing is changed', async () => {
    const response = await put(pathOf('paris'), await signed('paris'), { enabled: false }, paris)
    expect([response.status, response.body.geo_code]).toEqual([403, 'READ_ONLY_SITE'])
  })
})
