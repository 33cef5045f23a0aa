import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express, type Router } from 'express'
import createKnex from 'knex'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { createReadingSites, type ReadingSites, type ServedSite } from '../support/reading-sites.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { until } from '../support/until.ts'

const WRITES = ['post', 'put', 'patch', 'delete'] as const

let sites: ReadingSites
let primary: StagedServer

async function listen(app: Express): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Answers any method, so that one sees whether the middleware let it through. */
const echo = (app: Express) =>
  void app.all('/echo', (incoming, response) => void response.json({ method: incoming.method, from: 'the host' }))

beforeAll(async () => {
  sites = await createReadingSites()
  primary = await stageServer()
})
afterAll(async () => {
  await primary.close()
  await sites.close()
})

describe('geo.readOnly', () => {
  it('lets everything pass on the primary', async () => {
    const tokyo = await sites.serveAlso('tokyo', { routes: echo })
    for (const method of WRITES) expect((await request(tokyo.url)[method]('/echo')).body.from).toBe('the host')
  })

  describe('on a secondary', () => {
    let paris: ServedSite
    beforeAll(async () => {
      paris = await sites.serveAlso('paris', { routes: echo })
    })

    it('lets GET, HEAD and OPTIONS pass', async () => {
      expect((await request(paris.url).get('/echo')).body.from).toBe('the host')
      expect((await request(paris.url).head('/echo')).status).toBe(200)
      expect((await request(paris.url).options('/echo')).status).toBe(200)
    })

    it.each(WRITES)('answers %s with 409 and where the primary is', async (method) => {
      const response = await request(paris.url)[method]('/echo?a=1').send('x'.repeat(100_000))
      expect(response.status).toBe(409)
      expect(response.headers['location']).toBe(`${sites.tokyo.url}/echo?a=1`)
      expect(response.body).toEqual({
        code: 'READ_ONLY_SITE',
        message: `This site only reads. Write to the primary at ${sites.tokyo.url}/`,
        primary: `${sites.tokyo.url}/`,
      })
    })

    it("leaves the sites' own routes alone", async () => {
      const response = await request(paris.url)
        .post('/api/v4/geo/retrieve/widget')
        .send({ ids: ['1'] })
      expect(response.body.code).toBe('UNAUTHORIZED')
      expect((await request(paris.url).post('/api/v4/geography')).body.code).toBe('READ_ONLY_SITE')
    })
  })

  describe("on a secondary, before the SDK's own routes", () => {
    /** Whether each was let through: what the middleware turns away has its code. */
    async function letThrough(url: string, asked: readonly (readonly [(typeof WRITES)[number], string])[]) {
      const seen: Record<string, boolean> = {}
      for (const [method, path] of asked) {
        const response = await request(url)[method](path)
        seen[`${method} ${path}`] = response.body.code !== 'READ_ONLY_SITE'
      }
      return seen
    }
    const own = (base: string) =>
      [
        ['post', `${base}/api/v4/geo/status`],
        ['post', `${base}/api/v4/geo_nodes`],
        ['put', `${base}/API/v4/geo_sites/1`],
        ['delete', `${base}/api/v4/geo_sites/1/`],
        ['post', `${base}/api/v4/geo_nodes/1/repair?a=1`],
      ] as const
    const others = (base: string) =>
      [
        ['post', `${base}/api/v4/geo_nodes_of_mine`],
        ['post', `${base}/api/v4/geography`],
        ['post', `${base}/api/v4/geo_nodes/1/widgets`],
        ['patch', `${base}/api/v4/geo_nodes/1`],
        ['post', `${base}/x/api/v4/geo_nodes`],
        ['post', `${base}/api/v4/geo/openapi.json`],
        ['post', `${base}/metrics`],
        ['put', `${base}/administration/geo`],
      ] as const
    const all = (asked: readonly (readonly [string, string])[], is: boolean) =>
      Object.fromEntries(asked.map(([method, path]) => [`${method} ${path}`, is]))

    it('lets those through, and routes of the host that are named alike not', async () => {
      const { url } = await sites.serveAlso('paris')
      expect(await letThrough(url, own(''))).toEqual(all(own(''), true))
      expect(await letThrough(url, others(''))).toEqual(all(others(''), false))
    })

    it.each([
      ['under a path', '/a', (app: Express, router: Router) => void app.use('/a', router)],
      [
        'in a router in a router',
        '/a/b',
        (app: Express, router: Router) =>
          void app.use('/:tenant', express.Router().use('/b', express.Router().use(router))),
      ],
    ])('finds them where they are mounted %s, and only there', async (_, base, mount) => {
      const { geo } = await sites.serveAlso('paris')
      const app = express()
      app.use(geo.readOnly())
      mount(app, geo.router)
      const { url, close } = await listen(app)
      expect(await letThrough(url, own(base))).toEqual(all(own(base), true))
      expect(await letThrough(url, others(base))).toEqual(all(others(base), false))
      expect(await letThrough(url, own(''))).toEqual(all(own(''), false))
      await close()
    })

    it('finds parts that are mounted alone, apps above its own, and in apps below what sites say to each other', async () => {
      const { geo } = await sites.serveAlso('paris')
      const outer = express()
      const inner = express()
      inner.use(geo.readOnly(), (_request, _response, next) => next())
      outer.use('/inner', inner)
      outer.use('/inner/rest', geo.routers.rest)
      const above = await listen(outer)
      expect(await letThrough(above.url, own('/inner/rest').slice(1))).toEqual(all(own('/inner/rest').slice(1), true))
      expect(await letThrough(above.url, others('/inner/rest'))).toEqual(all(others('/inner/rest'), false))
      await above.close()
      const app = express().use(geo.readOnly())
      app.use('/below', express().use(geo.router))
      const below = await listen(app)
      expect(
        await letThrough(below.url, [
          ['post', '/below/api/v4/geo/status'],
          ['post', '/below/other'],
        ]),
      ).toEqual({
        'post /below/api/v4/geo/status': true,
        'post /below/other': false,
      })
      await below.close()
    })
  })

  it('answers 503 where it does not know what this site is', async () => {
    const nowhere = await sites.serveAlso('nowhere', { routes: echo })
    const response = await request(nowhere.url).post('/echo')
    expect([response.status, response.body.code, response.headers['retry-after']]).toEqual([503, 'SITE_UNKNOWN', '5'])

    const [port] = await findPorts(null)
    const mainDb = createKnex({ client: 'pg', connection: `postgres://postgres@${HOST}:${port}/nothing` })
    const cut = await sites.serveAlso('paris', { routes: echo, options: { mainDb } })
    const down = await request(cut.url).post('/echo')
    expect([down.status, down.body.code, down.headers['retry-after']]).toEqual([503, 'DATABASE_UNAVAILABLE', '5'])
    await mainDb.destroy()
  })
})

describe('geo.readOnly({ forward })', () => {
  let paris: ServedSite
  let slow: ServedSite

  beforeAll(async () => {
    await sites.tokyo.geo.sites.update('tokyo', { internalUrl: primary.url })
    paris = await sites.serveAlso('paris', { readOnly: { forward: { firstByteTimeoutMs: 1000 } }, routes: echo })
    slow = await sites.serveAlso('paris', { readOnly: { forward: true } })
  })
  afterEach(() => paris.logger.clear())

  /** What the primary got, with the whole body. */
  function receive(answer: RequestListener = (_, response) => void response.end('done')) {
    const received: { incoming: IncomingMessage; body: Buffer }[] = []
    primary.answer(async (incoming, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk)
      received.push({ incoming, body: Buffer.concat(chunks) })
      answer(incoming, response)
    })
    return received
  }

  it.each([
    ['of an announced length', true],
    ['in chunks', false],
  ])('passes a body %s on byte for byte, and the answer back', async (_, announced) => {
    const body = randomBytes(3_000_000)
    const answered = randomBytes(500_000)
    const received = receive((_incoming, response) => {
      response.writeHead(201, { 'content-type': 'x/y', 'set-cookie': ['a=1; Path=/', 'b=2'], location: '/echo/7' })
      response.end(answered)
    })
    const response = await sendBytes(
      `${paris.url}/echo?q=%20`,
      body,
      announced ? { 'content-length': body.length } : {},
    )
    expect([response.status, response.headers['location']]).toEqual([201, '/echo/7'])
    expect(response.headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2'])
    expect(answered.equals(response.body)).toBe(true)
    expect(received).toHaveLength(1)
    const [got] = received
    expect([got?.incoming.method, got?.incoming.url]).toEqual(['POST', '/echo?q=%20'])
    expect(got?.body.equals(body)).toBe(true)
    expect(got?.incoming.headers['transfer-encoding']).toBe(announced ? undefined : 'chunked')
  })

  it('keeps cookies and authorisation, drops what belongs to one connection, and says for whom it asks', async () => {
    const received = receive((_, response) => {
      response.writeHead(204, {
        connection: 'close, x-hop',
        'x-hop': '1',
        'proxy-authenticate': 'Basic',
        'x-kept': '1',
      })
      response.end()
    })
    const response = await request(paris.url).delete('/echo').set({
      cookie: 'session=1',
      authorization: 'Bearer x',
      connection: 'keep-alive, x-own',
      'x-own': 'dropped',
      te: 'trailers',
      'proxy-authorization': 'Basic x',
      'x-forwarded-for': '192.0.2.1',
      host: 'paris.test',
    })
    expect(response.status).toBe(204)
    expect(response.headers).toMatchObject({ 'x-kept': '1' })
    for (const name of ['x-hop', 'proxy-authenticate']) expect(response.headers).not.toHaveProperty(name)
    const headers = received[0]?.incoming.headers
    expect(headers).toMatchObject({
      cookie: 'session=1',
      authorization: 'Bearer x',
      'x-forwarded-for': expect.stringMatching(/^192\.0\.2\.1, .*127\.0\.0\.1$/),
      'x-forwarded-host': 'paris.test',
      'x-forwarded-proto': 'http',
      'geo-forwarded-by': 'paris',
      host: new URL(primary.url).host,
    })
    for (const name of ['x-own', 'te', 'proxy-authorization', 'transfer-encoding'])
      expect(headers).not.toHaveProperty(name)
  })

  it('passes refusals on as they are, also those before the body was read', async () => {
    primary.answer((_, response) => {
      response.writeHead(413, { 'content-type': 'application/json', connection: 'close' }).end('{"message":"too much"}')
    })
    const response = await sendBytes(`${paris.url}/echo`, randomBytes(100_000), {})
    expect([response.status, response.body.toString()]).toEqual([413, '{"message":"too much"}'])
  })

  it('lets reads be, and the own routes of the sites', async () => {
    const received = receive()
    expect((await request(paris.url).get('/echo')).body.from).toBe('the host')
    expect((await request(paris.url).post('/api/v4/geo/retrieve/widget')).body.code).toBe('UNAUTHORIZED')
    expect(received).toEqual([])
  })

  it('does not pass on what was passed on already', async () => {
    const received = receive()
    const response = await request(paris.url).post('/echo').set('geo-forwarded-by', 'rome').send('x')
    expect([response.status, response.body.code]).toEqual([508, 'FORWARD_LOOP'])
    expect(received).toEqual([])
  })

  it('does not wait for an answer without end, and says that the write may have been carried out', async () => {
    primary.answer((incoming) => void incoming.resume())
    const response = await request(paris.url).post('/echo').send('x')
    expect([response.status, response.body.code]).toEqual([504, 'FORWARD_UNANSWERED'])
  })

  it('says so where the primary ends the connection instead of answering', async () => {
    primary.answer((incoming) => void incoming.socket.destroy())
    const response = await sendBytes(`${paris.url}/echo`, randomBytes(200_000), {})
    expect([response.status, JSON.parse(response.body.toString()).code]).toEqual([504, 'FORWARD_UNANSWERED'])
  })

  it('counts silence, not the length of an upload', async () => {
    const received = receive()
    const length = 8
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = send(`${paris.url}/echo`, { method: 'POST', headers: { 'content-length': length } }, resolve)
      outgoing.on('error', reject)
      let sent = 0
      const drip = setInterval(() => {
        outgoing.write('x')
        sent += 1
        if (sent === length) {
          clearInterval(drip)
          outgoing.end()
        }
      }, 200)
    })
    response.resume()
    // 1,600 ms of upload with 1,000 ms of patience for the answer.
    expect(response.statusCode).toBe(200)
    expect(received[0]?.body.length).toBe(length)
  })

  it('ends the request to the primary when the client goes away', async () => {
    let begun = false
    let ended = false
    primary.answer((incoming) => {
      begun = true
      incoming.resume().on('close', () => {
        ended = true
      })
    })
    const outgoing = send(`${paris.url}/echo`, { method: 'POST', headers: { 'content-length': 1000 } })
    outgoing.on('error', () => undefined)
    outgoing.write('only the beginning')
    await until(() => begun)
    outgoing.destroy()
    await until(() => ended)
  })

  it('ends it too while the primary works on its answer', async () => {
    let working = false
    let ended = false
    primary.answer((incoming, response) => {
      incoming.resume().once('end', () => {
        working = true
      })
      response.once('close', () => {
        ended = true
      })
    })
    const outgoing = send(`${slow.url}/echo`, { method: 'POST' })
    outgoing.on('error', () => undefined)
    outgoing.end('the whole')
    await until(() => working)
    outgoing.destroy()
    await until(() => ended)
  })

  it('says that a body was read before it', async () => {
    const site = await sites.serveAlso('paris', {
      readOnly: { forward: true },
      before: (app) => void app.use(express.json()),
    })
    const response = await request(site.url).post('/echo').send({ a: 1 })
    expect([response.status, response.body.code]).toEqual([500, 'BODY_CONSUMED'])
  })

  it('answers 503 while the primary cannot be reached, also to a large upload', async () => {
    const [port] = await findPorts(null)
    await sites.tokyo.geo.sites.update('tokyo', { internalUrl: `http://${HOST}:${port}/` })
    const site = await sites.serveAlso('paris', { readOnly: { forward: true } })
    const response = await sendBytes(`${site.url}/echo`, randomBytes(2_000_000), {})
    expect([response.status, JSON.parse(response.body.toString()).code]).toEqual([503, 'PRIMARY_UNREACHABLE'])
    expect(response.headers['retry-after']).toBe('5')
    await sites.tokyo.geo.sites.update('tokyo', { internalUrl: primary.url })
  })
})

it('Where sites live below a path, it is that of the other site that is asked for', async () => {
  const asked: (string | undefined)[] = []
  const server = createServer((incoming, response) => {
    asked.push(incoming.url)
    incoming.resume()
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await sites.tokyo.geo.sites.update('tokyo', { internalUrl: `${base}/in/tokyo/` })
  await sites.tokyo.geo.sites.update('paris', { url: `${sites.paris.url}/in/paris/` })
  const site = await sites.serveAlso('paris', { readOnly: { forward: true } })
  await request(site.url).post('/in/paris/echo')
  await request(site.url).post('/echo')
  await request(site.url).post('//elsewhere.test/echo')
  expect(asked).toEqual(['/in/tokyo/echo', '/in/tokyo/echo', '/in/tokyo/elsewhere.test/echo'])
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

function sendBytes(url: string, body: Buffer, headers: Record<string, string | number>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = send(url, { method: 'POST', headers, agent: false }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) })
    })
    outgoing.on('error', reject)
    // In pieces, so that no length is announced unless the headers do.
    for (let offset = 0; offset < body.length; offset += 65_536) outgoing.write(body.subarray(offset, offset + 65_536))
    outgoing.end()
  })
}
