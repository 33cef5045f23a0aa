import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { IDS, type PlainSite, type PlainSites, startPlainSites } from './plain-sites.ts'

/** More than sockets keep for a reader that does not read. */
const LARGE = randomBytes(32 * 1024 * 1024)
/** As long as `docker stop` waits. */
const IN_TIME_MS = 10_000
const NOT_UTF8 = '%E0%A4%A'
const LIST = `/admin/geo/sites/${IDS.paris}/replication/photos`

interface Photo {
  readonly id: string
  readonly path: string
}

let sites: PlainSites
let large: Photo
beforeAll(async () => {
  sites = await startPlainSites()
})
afterAll(() => sites?.close())

const as = (role: string) => ({ 'x-role': role, 'x-operator': role })

const LIVE = { ...as('reader'), accept: 'text/event-stream' }

async function upload(site: PlainSite, bytes: Buffer): Promise<Photo> {
  const { status, body } = await request(site.url).post('/photos').attach('file', bytes, 'a photo.bin')
  expect(status).toBe(201)
  return body
}

const head = (site: PlainSite, { id }: Photo, headers: Record<string, string> = {}) =>
  request(site.url).head(`/photos/${id}/file`).set(headers)

const read = (site: PlainSite, { id }: Photo, headers: Record<string, string> = {}) =>
  request(site.url).get(`/photos/${id}/file`).set(headers).responseType('blob')

const stored = async ({ blobsDir }: PlainSite): Promise<string[]> =>
  (await readdir(blobsDir)).filter((name) => !name.startsWith('.geo-'))

/** As the list of paris says. */
async function untilVerified({ id }: Photo): Promise<void> {
  const path = `${LIST}?verification_status=succeeded&ids=Photo/${id}`
  const isShown = async () =>
    (await request(sites.paris.url).get(path).set(as('reader'))).text.includes(`>Photo/${id}<`)
  await until(isShown, 30_000, () => `photo ${id} at paris, which says:\n${sites.paris.output}`)
}

function servesAsHttpWants(siteOf: () => PlainSite): void {
  let etag: string
  beforeAll(async () => {
    etag = String((await head(siteOf(), large)).headers['etag'])
  })

  it('whole', async () => {
    const { status, headers, body } = await read(siteOf(), large)
    expect([status, headers['content-length'], headers['etag']]).toEqual([200, String(LARGE.length), etag])
    expect(etag).toMatch(/^"xxh64-/)
    expect(LARGE.equals(body)).toBe(true)
  })

  it('to HEAD, without the bytes', async () => {
    const { status, headers } = await head(siteOf(), large)
    expect(status).toBe(200)
    expect(headers).toMatchObject({ etag, 'content-length': String(LARGE.length), 'accept-ranges': 'bytes' })
  })

  it('not again to whoever has it', async () => {
    const known = await read(siteOf(), large, { 'if-none-match': etag })
    expect([known.status, known.headers['content-length']]).toEqual([304, undefined])
    expect((await head(siteOf(), large, { 'if-none-match': '"another"' })).status).toBe(200)
  })

  it.each([
    ['bytes=1000-1099', LARGE.subarray(1000, 1100), `bytes 1000-1099/${LARGE.length}`],
    ['bytes=-100', LARGE.subarray(-100), `bytes ${LARGE.length - 100}-${LARGE.length - 1}/${LARGE.length}`],
    [`bytes=${LARGE.length - 1}-`, LARGE.subarray(-1), `bytes ${LARGE.length - 1}-${LARGE.length - 1}/${LARGE.length}`],
  ])('in part: %s', async (range, bytes, contentRange) => {
    const { status, headers, body } = await read(siteOf(), large, { range, 'if-range': etag })
    expect([status, headers['content-range'], headers['etag']]).toEqual([206, contentRange, etag])
    expect(bytes.equals(body)).toBe(true)
  })

  it('whole to whoever asks for several parts', async () => {
    const { status, headers } = await read(siteOf(), large, { range: 'bytes=0-1,5-6' })
    expect([status, headers['content-length']]).toEqual([200, String(LARGE.length)])
  })

  it('416 to whoever asks for what lies beyond', async () => {
    const { status, headers } = await read(siteOf(), large, { range: `bytes=${LARGE.length}-` })
    expect([status, headers['content-range']]).toEqual([416, `bytes */${LARGE.length}`])
  })
}

/** A reader that reads nothing. Resolves once it has been answered. */
async function idleReader(url: string, headers: Record<string, string> = {}): Promise<ClientRequest> {
  const asking = unanswered(httpRequest(url, { headers, agent: false }))
  asking.end()
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  response.on('error', () => undefined)
  return asking
}

/** An upload whose body never ends. Resolves once the site has its beginning. */
async function endlessUpload(site: PlainSite): Promise<ClientRequest> {
  const before = (await stored(site)).length
  const headers = { 'content-type': 'multipart/form-data; boundary=x' }
  const sending = unanswered(httpRequest(`${site.url}/photos`, { method: 'POST', headers, agent: false }))
  sending.write('--x\r\ncontent-disposition: form-data; name="file"; filename="endless"\r\n\r\nbegun')
  await until(async () => (await stored(site)).length > before)
  return sending
}

/** Its connection ends with the process that it asks. */
const unanswered = (asking: ClientRequest) => asking.on('error', () => undefined)

/** What Node says of a promise or a file that nobody saw to. */
const COMPLAINT = /^\(node:\d+\)|unhandled/im

async function endsInTime(site: PlainSite): Promise<void> {
  const { code, ms } = await site.terminate()
  expect(code).toBe(0)
  expect(ms).toBeLessThan(IN_TIME_MS)
  expect(site.output).not.toMatch(COMPLAINT)
}

describe('while its file is on the way, a photo is served by the secondary', () => {
  beforeAll(async () => {
    large = await upload(sites.tokyo, LARGE)
    // Before the primary has hashed it, the ETag is that of its file.
    await until(async () => String((await head(sites.paris, large)).headers['etag']).startsWith('"xxh64-'))
  })
  servesAsHttpWants(() => sites.paris)

  it('until SIGTERM, which ends it in time: the transfer goes on after the next start', async () => {
    const { paris } = sites
    const beginsToFetch = async () => (await readdir(paris.blobsDir)).some((name) => name.startsWith('.geo-'))
    await until(beginsToFetch)
    const open = [
      await idleReader(`${paris.url}/photos/${large.id}/file`),
      await idleReader(`${paris.url}/admin/geo/sites`, LIVE),
    ]
    expect(await stored(paris)).toEqual([])
    await endsInTime(paris)
    for (const asking of open) asking.destroy()

    await sites.geo('site', 'update', 'paris', '--bytes-per-second', 'none')
    await paris.start()
    await untilVerified(large)
    expect(LARGE.equals(await readFile(join(paris.blobsDir, large.path)))).toBe(true)
  })
})

describe('The file of the primary is answered', () => servesAsHttpWants(() => sites.tokyo))
describe('The verified copy of the secondary is answered', () => servesAsHttpWants(() => sites.paris))

it('A photo that is deleted is gone at both sites', async () => {
  const { tokyo, paris } = sites
  const photo = await upload(tokyo, randomBytes(1000))
  await untilVerified(photo)
  expect((await request(tokyo.url).delete(`/photos/${photo.id}`)).status).toBe(204)
  await until(async () => !(await stored(paris)).includes(photo.path))
  expect(await stored(tokyo)).toEqual([large.path])
  for (const site of [tokyo, paris]) {
    const { status, body } = await request(site.url).get(`/photos/${photo.id}/file`)
    expect([status, body.code]).toEqual([404, 'RECORD_NOT_FOUND'])
  }
  expect((await request(tokyo.url).delete(`/photos/${photo.id}`)).status).toBe(404)
})

it('A write to the secondary is turned away with the address of the primary, and changes nothing', async () => {
  const { tokyo, paris } = sites
  const { url } = paris
  const path = `/photos/${large.id}`
  const refusals = [
    ['/photos', await request(url).post('/photos').attach('file', LARGE.subarray(0, 1_000_000), 'x')],
    [path, await request(url).delete(path)],
    [path, await request(url).put(path).send({ name: 'another' })],
    ['/photos?draft=1', await request(url).post('/photos?draft=1').type('form').send({ name: 'x' })],
  ] as const
  for (const [asked, { status, headers, body }] of refusals) {
    expect([status, headers['location']]).toEqual([409, `${tokyo.url}${asked}`])
    const message = `This site only reads. Write to the primary at ${tokyo.url}/`
    expect(body).toEqual({ code: 'READ_ONLY_SITE', primary: `${tokyo.url}/`, message })
  }
  expect(await stored(paris)).toEqual([large.path])
  expect((await head(tokyo, large)).status).toBe(200)
})

describe('Strangers see nothing; whom authorize lets in sees', () => {
  it('probes, which are for everybody', async () => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      for (const path of ['/healthz', '/readyz']) {
        const { status, body } = await request(url).get(path)
        expect([path, status, body]).toEqual([path, 200, { status: 'ok' }])
      }
    }
  })

  it.each([
    '/api/v4/geo_nodes',
    '/api/v4/geo_sites/status',
    '/metrics',
    '/admin/geo/sites',
    '/api/v4/geo/openapi.json',
  ])('%s', async (path) => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      expect((await request(url).get(path)).status).toBe(403)
      expect((await request(url).get(path).set('authorization', 'Bearer somebody-else-or-so')).status).toBe(403)
      expect((await request(url).get(path).set(as('reader'))).status).toBe(200)
    }
  })

  it('the sites and their statuses over REST, and changes them where he may', async () => {
    const { tokyo, paris } = sites
    const api = (site: PlainSite, method: 'get' | 'put', path: string, role: string) =>
      request(site.url)[method](`/api/v4/geo_nodes${path}`).set(as(role))
    const { body: nodes } = await api(paris, 'get', '', 'reader')
    expect(nodes).toMatchObject([
      { name: 'tokyo', primary: true, current: false },
      { name: 'paris', primary: false, current: true },
    ])
    for (const [site, id] of [
      [tokyo, IDS.tokyo],
      [paris, IDS.paris],
    ] as const) {
      const { status, body } = await api(site, 'get', `/${id}/status`, 'reader')
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({ geo_node_id: id, photos_count: expect.anything() }),
      ])
    }
    const change = { files_max_capacity: 7 }
    expect((await api(tokyo, 'put', `/${IDS.paris}`, 'reader').send(change)).status).toBe(403)
    const changed = await api(tokyo, 'put', `/${IDS.paris}`, 'admin').send(change)
    expect([changed.status, changed.body.files_max_capacity]).toEqual([200, 7])
    const refused = await api(paris, 'put', `/${IDS.paris}`, 'admin').type('form').send(change)
    expect([refused.status, refused.body.geo_code]).toEqual([403, 'READ_ONLY_SITE'])
  })

  it('metrics, also by token', async () => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      const { status, text } = await request(url).get('/metrics').set('authorization', `Bearer ${sites.scrapeToken}`)
      expect(status).toBe(200)
      expect(text).toMatch(/^geo_photos\{/m)
    }
  })

  it('every page that a page leads to', async () => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      const seen = new Map<string, number>()
      const left = ['/admin/geo/sites', '/admin/geo/replication']
      for (let path = left.pop(); path !== undefined; path = left.pop()) {
        if (seen.has(path)) continue
        const { status, headers, text } = await request(url).get(path).set(as('admin'))
        seen.set(path, status)
        const hrefs = [...text.matchAll(/ (?:href|src)="([^"]+)"/g)].map((match) => match[1] ?? '')
        const next = [headers['location'] ?? '', ...hrefs].map((href) => href.replaceAll('&amp;', '&'))
        left.push(...next.filter((href) => href.startsWith('/admin/geo')))
      }
      expect([...seen].filter(([, status]) => ![200, 302].includes(status))).toEqual([])
      expect(seen.size).toBeGreaterThan(8)
    }
  })

  it('that a button of a page works, also of the secondary itself and through the primary', async () => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      const form = request(url).post(`${LIST}/run`).set('origin', url).type('form').send({ action: 'reverify' })
      const { status, headers } = await form.set(as('admin'))
      expect([status, headers['location']]).toEqual([303, expect.stringContaining('done=run-')])
      const from = { origin: 'http://elsewhere.example', ...as('admin') }
      expect((await request(url).post(`${LIST}/run`).set(from).type('form').send({})).status).toBe(403)
      const { text } = await request(url).get(String(headers['location'])).set(as('admin'))
      expect(text).toMatch(/The run has been started|A run of this kind is not finished/)
    }
    await untilVerified(large)
  })
})

describe('What fails is answered, and neither ends the process nor hangs:', () => {
  it('authorize, as a no', async () => {
    for (const path of ['/api/v4/geo_nodes', '/metrics', '/admin/geo/sites']) {
      for (const { url } of [sites.tokyo, sites.paris]) {
        expect((await request(url).get(path).set('x-role', 'lost')).status).toBe(403)
      }
    }
  })

  it('operator, for then nobody knows in whose name it is done', async () => {
    const { tokyo } = sites
    const page = request(tokyo.url).post(`/admin/geo/sites/${IDS.paris}`).set({ 'x-role': 'admin', origin: tokyo.url })
    const { status, text } = await page.type('form').send({ name: 'paris' })
    expect([status, text]).toEqual([500, expect.stringContaining('<code>INTERNAL</code>')])
    const rest = request(tokyo.url).put(`/api/v4/geo_nodes/${IDS.paris}`).set('x-role', 'admin')
    const answer = await rest.send({ files_max_capacity: 8 })
    expect([answer.status, answer.body.code]).toEqual([500, 'INTERNAL'])
    expect(text + answer.text).not.toContain('session store')
  })

  it("a function of the host's that geo.serve calls", async () => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      const { status, body } = await request(url).get(`/typeless/${large.id}`)
      expect([status, body]).toEqual([500, { code: 'INTERNAL', message: 'Internal error' }])
    }
  })

  it("a promise of ours that a route hands to Express: its status is the error's", async () => {
    for (const { url } of [sites.tokyo, sites.paris]) expect((await request(url).get('/runs/99')).status).toBe(404)
  })

  it.each([
    [400, 'GET', `/photos/${NOT_UTF8}/file`],
    [404, 'GET', '/photos/one/file'],
    [404, 'GET', '/photos/99999999999999999999/file'],
    [400, 'GET', `/api/v4/geo_nodes/${NOT_UTF8}`],
    [400, 'GET', '/api/v4/geo_nodes/one'],
    [400, 'GET', '/api/v4/geo_nodes?page[of]=1&per_page[]=x'],
    [400, 'POST', '/api/v4/geo_nodes'],
    [400, 'GET', `/api/v4/geo/retrieve/${NOT_UTF8}/1`],
    [401, 'GET', `/api/v4/geo/retrieve/photo/${NOT_UTF8}`],
    [401, 'POST', '/api/v4/geo/retrieve/photo'],
    [400, 'GET', `/api/v4/geo/copies/photo/${NOT_UTF8}`],
    [401, 'POST', '/api/v4/geo/status'],
    [401, 'POST', '/api/v4/geo/details'],
    [400, 'GET', `/admin/geo/sites/${NOT_UTF8}/edit`],
    [404, 'GET', '/admin/geo/nowhere'],
    [400, 'POST', `${LIST}/change`],
    // Express 4 makes objects and arrays of these.
    [200, 'GET', '/admin/geo/sites?search[of]=1&status[]=x&done[n]=1'],
    [404, 'GET', '/admin/geo/replication?site[__proto__]=1&type[]=photos'],
    [200, 'GET', `${LIST}?ids[of][all]=1&sort[]=ID_DESC&after[x]=1&before[]=2&shown[]=1`],
    [404, 'GET', `${LIST}/run?action[]=resync&only[x]=failed`],
    [200, 'GET', `/admin/geo/failover/${IDS.paris}?type[x]=photos&after[]=1`],
    [200, 'GET', '/admin/geo/audit?before[x]=1'],
  ] as const)('a request that is malformed, with %i: %s %s', async (status, method, path) => {
    for (const { url } of [sites.tokyo, sites.paris]) {
      const asked = method === 'GET' ? request(url).get(path) : request(url).post(path).type('json').send('{"ids":')
      expect((await asked.set({ ...as('admin'), origin: url })).status).toBe(status)
    }
  })

  it('what is no HTTP', async () => {
    const { hostname, port } = new URL(sites.paris.url)
    const socket = connect(Number(port), hostname)
    socket.write('NOT HTTP\r\n\r\n')
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 400 /)
    await once(socket, 'close')
  })

  it('a replica that is down, until it is back', async () => {
    const { paris, gate } = sites
    await gate.shut()
    const statusOf = async (path: string) => (await request(paris.url).get(path).set(as('admin'))).status
    for (const path of [`/photos/${large.id}/file`, '/api/v4/geo_nodes', '/admin/geo/sites', LIST])
      expect([path, await statusOf(path)]).toEqual([path, 503])
    // Its answer is good for a second, and somebody may have asked right before.
    await until(async () => (await statusOf('/readyz')) === 503)
    expect(await statusOf('/healthz')).toBe(200)
    expect((await request(paris.url).delete(`/photos/${large.id}`)).status).toBeOneOf([409, 503])
    await gate.open()
    await until(async () => (await statusOf('/readyz')) === 200)
    expect((await head(paris, large)).status).toBe(200)
  })

  it('and the log of neither process tells of a promise or a file that nobody saw to', () => {
    for (const { isRunning, output } of [sites.tokyo, sites.paris]) {
      expect(isRunning).toBe(true)
      expect(output).not.toMatch(COMPLAINT)
    }
  })
})

describe('SIGTERM ends in time', () => {
  it('the primary in the midst of an upload, a download and a live page', async () => {
    const { tokyo } = sites
    const open = [
      await endlessUpload(tokyo),
      await idleReader(`${tokyo.url}/photos/${large.id}/file`),
      await idleReader(`${tokyo.url}/admin/geo/sites`, LIVE),
    ]
    await endsInTime(tokyo)
    for (const asking of open) asking.destroy()
  })

  it('a secondary whose replica hangs', async () => {
    sites.gate.freeze()
    await endsInTime(sites.paris)
  })
})
