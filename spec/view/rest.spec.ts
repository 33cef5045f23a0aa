import request, { type Response } from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Geo } from '../../lib/index.ts'
import { DocumentedAnswers } from '../support/documented-answers.ts'
import { createReadingSites, type ReadingSites, type ServedSite } from '../support/reading-sites.ts'

type Method = 'get' | 'post' | 'put' | 'delete'

let sites: ReadingSites
let tokyo: ServedSite
let paris: ServedSite
let answers: DocumentedAnswers
let ids: { tokyo: string; paris: string }

const authorize = (incoming: { headers: object }, ability: string) =>
  [ability, 'all'].includes((incoming.headers as Record<string, string>)['x-may'] ?? '')

beforeAll(async () => {
  sites = await createReadingSites()
  tokyo = await sites.serveAlso('tokyo', { options: { authorize, revision: 'r1' } })
  paris = await sites.serveAlso('paris', { options: { authorize } })
  answers = new DocumentedAnswers(
    (await request(tokyo.url).get('/api/v4/geo/openapi.json').set('x-may', 'read_geo')).body,
  )
  const list = await tokyo.geo.sites.list()
  const idOf = (name: string) => String(list.find((site) => site.name === name)?.id)
  ids = { tokyo: idOf('tokyo'), paris: idOf('paris') }
})
afterAll(() => sites.close())
afterEach(async () => {
  const { main } = sites.databases
  await main('geo_nodes').whereNotIn('name', ['tokyo', 'paris']).delete()
  await main('geo_node_statuses').delete()
})

/** Asks a site as somebody who may do everything, and holds the answer against the document. */
async function ask(site: ServedSite, method: Method, path: string, body?: object | string): Promise<Response> {
  const asked = request(site.url)[method](path).set('x-may', 'all')
  const response = await (body === undefined ? asked : asked.send(body))
  return answers.check(method, path, response)
}

const add = (site: Parameters<Geo['sites']['add']>[0]) => tokyo.geo.sites.add(site)

describe.each(['nodes', 'sites'])('the REST API under /api/v4/geo_%s', (noun) => {
  const base = `/api/v4/geo_${noun}`
  const title = noun === 'nodes' ? 'GeoNode' : 'GeoSite'

  it('shows a site with the fields of GitLab in its order', async () => {
    const { body } = await ask(tokyo, 'get', `${base}/${ids.paris}`)
    const primaryUrl = (await tokyo.geo.sites.list())[0]?.url
    expect(Object.keys(body)).toEqual([
      ...['id', 'name', 'url', 'internal_url', 'primary', 'enabled', 'current', 'files_max_capacity'],
      ...['repos_max_capacity', 'verification_max_capacity', 'container_repositories_max_capacity'],
      ...['selective_sync_type', 'selective_sync_shards', 'selective_sync_namespace_ids'],
      ...['minimum_reverification_interval', 'redirect_hosts', 'sync_object_storage'],
      ...(noun === 'nodes' ? ['clone_protocol'] : []),
      ...['web_edit_url', 'web_geo_replication_details_url', '_links'],
    ])
    expect(body).toMatchObject({
      id: Number(ids.paris),
      name: 'paris',
      primary: false,
      enabled: true,
      current: false,
      files_max_capacity: 10,
      repos_max_capacity: 10,
      verification_max_capacity: 10,
      container_repositories_max_capacity: 2,
      selective_sync_type: null,
      minimum_reverification_interval: 90,
      sync_object_storage: false,
      web_edit_url: `${primaryUrl}admin/geo/sites/${ids.paris}/edit`,
      web_geo_replication_details_url: `${body.url}admin/geo/sites/${ids.paris}/replication/widgets`,
      _links: {
        self: `${primaryUrl}api/v4/geo_${noun}/${ids.paris}`,
        status: `${primaryUrl}api/v4/geo_${noun}/${ids.paris}/status`,
        repair: `${primaryUrl}api/v4/geo_${noun}/${ids.paris}/repair`,
      },
    })
    const primary = (await ask(tokyo, 'get', `${base}/${ids.tokyo}`)).body
    expect(primary).toMatchObject({ primary: true, current: true })
    expect(primary).not.toHaveProperty('sync_object_storage')
    expect(primary).not.toHaveProperty('web_geo_replication_details_url')
  })

  it('says in the words of GitLab that there is no such site', async () => {
    const missing = await ask(tokyo, 'get', `${base}/999999`)
    expect([missing.status, missing.body]).toEqual([404, { message: `404 ${title} Not Found` }])
    for (const method of ['put', 'delete'] as const)
      expect((await ask(tokyo, method, `${base}/999999`)).status).toBe(404)
    expect((await ask(tokyo, 'post', `${base}/999999/repair`)).status).toBe(404)
    const wrong: [Method, string][] = [
      ['get', ''],
      ['put', ''],
      ['delete', ''],
      ['get', '/status'],
      ['post', '/repair'],
    ]
    for (const [method, suffix] of wrong) {
      const { status, body } = await ask(tokyo, method, `${base}/paris${suffix}`)
      expect([status, body]).toEqual([400, { error: 'id is invalid' }])
    }
  })

  it('lists page by page, with the headers that clients walk by', async () => {
    for (let n = 1; n <= 3; n += 1) await add({ name: `site ${n}`, url: `https://s${n}.test` })
    const { body, headers } = await ask(tokyo, 'get', `${base}?per_page=2&page=2&foo=b%20r`)
    expect(body.map(({ name }: { name: string }) => name)).toEqual(['site 1', 'site 2'])
    expect(headers).toMatchObject({
      'x-total': '5',
      'x-total-pages': '3',
      'x-page': '2',
      'x-per-page': '2',
      'x-next-page': '3',
      'x-prev-page': '1',
    })
    const links = [...String(headers['link']).matchAll(/<([^>]+)>; rel="(\w+)"/g)].map(([, url, rel]) => {
      const { searchParams } = new URL(String(url))
      return `${rel} ${searchParams.get('page')} ${searchParams.get('per_page')} ${searchParams.get('foo')}`
    })
    expect(links).toEqual(['prev 1 2 b r', 'next 3 2 b r', 'first 1 2 b r', 'last 3 2 b r'])
    const last = await ask(tokyo, 'get', `${base}?per_page=2&page=3`)
    expect([last.body.length, last.headers['x-next-page'], last.headers['x-prev-page']]).toEqual([1, '', '2'])
    const beyond = await ask(tokyo, 'get', `${base}?page=9`)
    expect([beyond.body, beyond.headers['x-total'], beyond.headers['x-prev-page']]).toEqual([[], '5', ''])
    // The page behind the last leads back to it; those beyond lead nowhere.
    const behind = await ask(tokyo, 'get', `${base}?per_page=2&page=4`)
    expect([behind.body, behind.headers['x-prev-page'], behind.headers['x-next-page']]).toEqual([[], '3', ''])
    const most = await ask(tokyo, 'get', `${base}?per_page=1000&page=0`)
    expect([most.headers['x-per-page'], most.headers['x-page']]).toEqual(['100', '1'])
    for (const list of [base, `${base}/status`, `${base}/statuses`]) {
      for (const [query, error] of [
        ['page=x', 'page is invalid'],
        ['per_page=1.5&page=-', 'page is invalid, per_page is invalid'],
        ['per_page=0', 'per_page has a value not allowed'],
      ])
        expect((await ask(tokyo, 'get', `${list}?${query}`)).body).toEqual({ error })
    }
  })

  it('creates a site from JSON or from a form, and ignores what it does not know', async () => {
    const created = await ask(tokyo, 'post', base, {
      name: ' lyon ',
      url: 'https://lyon.test/geo',
      internal_url: 'http://10.0.0.4',
      enabled: false,
      files_max_capacity: 3,
      repos_max_capacity: 4,
      verification_max_capacity: 5,
      container_repositories_max_capacity: 6,
      minimum_reverification_interval: 7,
      redirect_hosts: 'Files.example, 10.0.0.5:9000',
      selective_sync_type: 'namespaces',
      selective_sync_namespace_ids: [1, '22', 'ab-c'],
      selective_sync_shards: ['default'],
      sync_object_storage: true,
      access_key: 'mine',
      id: 3,
      __proto__: { primary: true },
    })
    expect(created.status).toBe(201)
    expect(created.body).toMatchObject({
      name: 'lyon',
      url: 'https://lyon.test/geo/',
      internal_url: 'http://10.0.0.4/',
      enabled: false,
      primary: false,
      files_max_capacity: 3,
      repos_max_capacity: 4,
      verification_max_capacity: 5,
      container_repositories_max_capacity: 6,
      minimum_reverification_interval: 7,
      redirect_hosts: ['files.example', '10.0.0.5:9000'],
      selective_sync_type: 'namespaces',
      selective_sync_namespace_ids: [1, 22, 'ab-c'],
      selective_sync_shards: ['default'],
      sync_object_storage: true,
    })
    const form =
      'name=nice&url=https%3A%2F%2Fnice.test&files_max_capacity=8&enabled=false&selective_sync_type=shards' +
      '&selective_sync_shards%5B%5D=a&selective_sync_shards%5B%5D=b&selective_sync_namespace_ids=1,2'
    const fromForm = await ask(tokyo, 'post', base, form)
    expect(fromForm.body).toMatchObject({
      files_max_capacity: 8,
      enabled: false,
      selective_sync_shards: ['a', 'b'],
      selective_sync_namespace_ids: [1, 2],
    })
    const fromAddress = await ask(tokyo, 'post', `${base}?name=metz&url=http://metz.test&selective_sync_type=`)
    expect(fromAddress.body).toMatchObject({ name: 'metz', selective_sync_type: null })
    expect((await ask(tokyo, 'get', `${base}/${created.body.id}`)).body).toEqual(created.body)
  })

  it('says what is missing, what is of another type, and what a site cannot be', async () => {
    const refused = async (body: object) => {
      const response = await ask(tokyo, 'post', base, body)
      expect(response.status).toBe(400)
      return response.body
    }
    expect(await refused({})).toEqual({ error: 'name is missing, url is missing' })
    expect(await refused({ name: 'a', url: 'http://a', files_max_capacity: 'ten', enabled: 'maybe' })).toEqual({
      error: 'enabled is invalid, files_max_capacity is invalid',
    })
    expect(await refused({ name: 'a', url: 'http://a', selective_sync_shards: { a: 1 } })).toEqual({
      error: 'selective_sync_shards is invalid',
    })
    // What no text can be made of.
    expect(await refused({ name: 'a', url: 'http://a', enabled: { toString: 'x' } })).toEqual({
      error: 'enabled is invalid',
    })
    expect(await refused({ name: 'a', url: 'http://a', redirect_hosts: ['ok', 'no host'] })).toEqual({
      message: { redirect_hosts: ['must be a host, with a port where it is not the usual one'] },
    })
    expect(await refused({ name: '', url: 'x', minimum_reverification_interval: 0, repos_max_capacity: -1 })).toEqual({
      message: {
        name: ["can't be blank"],
        url: ['must be an http or https URL'],
        repos_max_capacity: ['must be greater than or equal to 0'],
        minimum_reverification_interval: ['must be greater than or equal to 1'],
      },
    })
    expect(await refused({ name: 'Paris', url: 'http://a' })).toEqual({ message: { name: ['has already been taken'] } })
    expect(await refused({ name: 'b', url: 'http://b', primary: true })).toEqual({
      message: { primary: ['node already exists'] },
    })
    expect(await refused({ name: null, url: null })).toMatchObject({ message: { name: ["can't be blank"] } })
    expect(await refused([])).toEqual({ error: 'the body is not an object' })
    expect(await refused({ name: 'c', url: 'http://c', selective_sync_shards: 'a' })).toEqual({
      message: { selective_sync_type: ["can't be blank"] },
    })
    const text = await request(tokyo.url).post(base).set('x-may', 'all').type('json').send('{"name":')
    expect([text.status, text.body]).toEqual([400, { error: 'message body does not match declared format' }])
    for (const [method, path] of [
      ['post', base],
      ['put', `${base}/${ids.paris}`],
    ] as const) {
      expect((await ask(tokyo, method, path, { name: 'x'.repeat(70_000) })).status).toBe(413)
      const xml = await request(tokyo.url)[method](path).set('x-may', 'all').type('text/xml').send('<a/>')
      answers.check(method, path, xml)
      expect([xml.status, xml.body]).toEqual([415, { error: "The provided content-type 'text/xml' is not supported" }])
    }
  })

  it('changes what is given and leaves the rest', async () => {
    const { id } = await add({ name: 'lyon', url: 'https://lyon.test' })
    const before = (await ask(tokyo, 'get', `${base}/${id}`)).body
    expect((await ask(tokyo, 'put', `${base}/${id}`)).body).toEqual(before)
    const changed = await ask(tokyo, 'put', `${base}/${id}`, {
      name: 'Lyon 2',
      files_max_capacity: '20',
      enabled: 'false',
      verification_max_capacity: null,
      selective_sync_type: 'shards',
      selective_sync_shards: 'a, b',
      primary: true,
    })
    expect(changed.status).toBe(200)
    expect(changed.body).toEqual({
      ...before,
      name: 'Lyon 2',
      files_max_capacity: 20,
      enabled: false,
      selective_sync_type: 'shards',
      selective_sync_shards: ['a', 'b'],
    })
    const again = await ask(tokyo, 'put', `${base}/${id}`, { selective_sync_namespace_ids: '7' })
    expect(again.body).toMatchObject({ selective_sync_shards: ['a', 'b'], selective_sync_namespace_ids: [7] })
    const all = await ask(tokyo, 'put', `${base}/${id}`, { selective_sync_type: '', internal_url: '' })
    expect(all.body).toMatchObject({ selective_sync_type: null, internal_url: 'https://lyon.test/' })
    const disabled = await ask(tokyo, 'put', `${base}/${ids.tokyo}`, { enabled: false })
    expect([disabled.status, disabled.body]).toEqual([
      400,
      { message: { enabled: ['Geo primary node cannot be disabled'] } },
    ])
  })

  it('removes a site, and the primary only as the last', async () => {
    const { id } = await add({ name: 'lyon', url: 'https://lyon.test' })
    const removed = await ask(tokyo, 'delete', `${base}/${id}`)
    expect([removed.status, removed.text]).toEqual([204, ''])
    expect((await ask(tokyo, 'get', `${base}/${id}`)).status).toBe(404)
    expect((await ask(tokyo, 'delete', `${base}/${ids.tokyo}`)).body).toEqual({
      message: { base: ['The primary site cannot be removed while there are others'] },
    })
  })

  it('takes no change on a secondary, and says where it belongs', async () => {
    const primary = (await tokyo.geo.sites.list())[0]?.url
    for (const [method, path] of [
      ['post', base],
      ['put', `${base}/${ids.paris}`],
      ['delete', `${base}/${ids.paris}`],
    ] as const) {
      const response = await ask(paris, method, path, { name: 'x', url: 'http://x' })
      expect([response.status, response.body]).toEqual([
        403,
        {
          message: 'You cannot perform write operations on a read-only instance',
          geo_code: 'READ_ONLY_SITE',
          primary,
        },
      ])
    }
    expect((await ask(paris, 'get', `${base}/${ids.paris}`)).body).toMatchObject({ current: true })
    expect((await ask(paris, 'post', `${base}/${ids.paris}/repair`)).status).toBe(200)
  })

  it('shows the statuses of all that have told one, under both names, and of one', async () => {
    const { main } = sites.databases
    await add({ name: 'silent', url: 'https://silent.test' })
    await main('geo_node_statuses').insert({
      geo_node_id: ids.paris,
      status: { healthy: true, widgets_synced_count: 2, widgets_registry_count: 3 },
      updated_at: main.fn.now(),
      last_successful_status_check_at: main.fn.now(),
    })
    const all = await ask(tokyo, 'get', `${base}/status?per_page=1&page=2`)
    expect(all.headers['x-total']).toBe('2')
    expect(all.body).toHaveLength(1)
    expect(all.body[0]).toMatchObject({
      geo_node_id: Number(ids.paris),
      healthy: true,
      health: 'Healthy',
      widgets_synced_in_percentage: '66.67%',
    })
    expect((await ask(tokyo, 'get', `${base}/statuses?per_page=1&page=2`)).body).toEqual(all.body)
    const one = await ask(tokyo, 'get', `${base}/${ids.paris}/status?refresh=true`)
    expect(one.body).toEqual({ ...all.body[0] })
    expect(one.body._links).toEqual({
      self: expect.stringMatching(new RegExp(`${base}/${ids.paris}/status$`)),
      [noun.slice(0, -1)]: expect.stringMatching(new RegExp(`${base}/${ids.paris}$`)),
    })
    expect((await ask(tokyo, 'post', `${base}/${ids.paris}/repair`)).body).toEqual(one.body)
    const silent = (await ask(tokyo, 'get', base)).body.find((site: { name: string }) => site.name === 'silent')
    const none = await ask(tokyo, 'get', `${base}/${silent.id}/status`)
    expect([none.status, none.body]).toEqual([
      404,
      { message: `404 Status for Geo ${noun.slice(0, -1)} not found Not Found` },
    ])
    expect((await ask(tokyo, 'get', `${base}/${ids.tokyo}/status`)).status).toBe(200)
  })

  it('publishes the schema of a status, in which nothing is optional or unknown', async () => {
    const { body } = await ask(tokyo, 'get', `${base}/status.schema.json`)
    const signed = request(tokyo.url).get(`${base}/status.schema.json`).set('authorization', 'GL-Geo a:b')
    expect(answers.check('get', `${base}/status.schema.json`, await signed).status).toBe(400)
    expect(body).toMatchObject({ additionalProperties: false, type: 'object' })
    expect(body.required).toContain('widgets_verified_in_percentage')
    expect(Object.keys(body.properties).sort()).toEqual([...body.required].sort())
    const status = (await ask(tokyo, 'get', `${base}/${ids.tokyo}/status`)).body
    expect(Object.keys(status).sort()).toEqual([...body.required].sort())
  })

  it('is closed to whoever the host does not let in, before anything is read', async () => {
    const doors: [Method, string][] = [
      ['get', ''],
      ['post', ''],
      ['get', '/status'],
      ['get', '/statuses'],
      ['get', '/status.schema.json'],
      ['get', `/${ids.paris}`],
      ['put', `/${ids.paris}`],
      ['delete', `/${ids.paris}`],
      ['get', `/${ids.paris}/status`],
      ['post', `/${ids.paris}/repair`],
    ]
    for (const [method, suffix] of doors) {
      const ability = method === 'get' ? 'read_geo' : 'admin_geo'
      const other = method === 'get' ? 'admin_geo' : 'read_geo'
      const path = `${base}${suffix}`
      const stranger = request(tokyo.url)[method](path).set('x-may', other).type('json')
      const refused = answers.check(method, path, await (method === 'get' ? stranger : stranger.send('{')))
      expect([path, refused.status, refused.body]).toEqual([path, 403, { message: '403 Forbidden' }])
      // Without an authorizer at all: nobody.
      expect((await request(sites.tokyo.url)[method](path).set('x-may', ability)).status).toBe(403)
    }
    expect((await tokyo.geo.sites.list()).map(({ name }) => name)).toEqual(['tokyo', 'paris'])
  })

  it('takes no form that a page of another site has had a browser send', async () => {
    const form = `name=evil&url=${encodeURIComponent('http://evil.test')}`
    const post = (path: string, headers: Record<string, string>, type = 'form') =>
      request(tokyo.url)
        .post(path)
        .set({ 'x-may': 'all', ...headers })
        .type(type)
        .send(type === 'form' ? form : {})
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.test' },
      { origin: 'null' },
    ]) {
      expect(answers.check('post', base, await post(base, headers)).status).toBe(403)
      const repair = `${base}/${ids.paris}/repair`
      const bare = await request(tokyo.url)
        .post(repair)
        .set({ 'x-may': 'all', ...headers })
      expect(answers.check('post', repair, bare).status).toBe(403)
    }
    expect((await tokyo.geo.sites.list()).map(({ name }) => name)).toEqual(['tokyo', 'paris'])
    // Pages of the site itself may, and JSON a browser sends for another only where the host's CORS lets it.
    expect((await post(base, { 'sec-fetch-site': 'same-origin' })).status).toBe(201)
    expect((await post(base, { 'sec-fetch-site': 'cross-site' }, 'json')).status).toBe(400)
  })
})

it('documents every answer that these specs have seen, and they have seen every answer but an outage', async () => {
  const response = await request(tokyo.url).get('/api/v4/geo/openapi.json').set('x-may', 'read_geo')
  answers.check('get', '/api/v4/geo/openapi.json', response)
  const refused = await request(tokyo.url).get('/api/v4/geo/openapi.json')
  answers.check('get', '/api/v4/geo/openapi.json', refused)
  expect(response.body.openapi).toBe('3.1.0')
  const unseen = answers.listed.filter((name) => !answers.seen.has(name))
  expect(unseen.filter((name) => !/ (401|503)$/.test(name))).toEqual([])
})
