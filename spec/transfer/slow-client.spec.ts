import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import express from 'express'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createGeo, type Geo } from '../../lib/index.ts'
import { digestOfIds, signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { type RawClient, rawClient, requestHead } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const IDLE_MS = 300
/** More than the kernel keeps for both sides of a connection. */
const LARGE_BYTES = 24 * 1024 * 1024

let site: PrimarySite
let url: string
let large: string
let geo: Geo
let server: Server
const codes: unknown[] = []
const keepCode = ({ code }: { code?: unknown }) => void codes.push(code)
const clients: RawClient[] = []

beforeAll(async () => {
  site = await createPrimarySite()
  geo = createGeo({
    siteName: 'tokyo',
    mainDb: site.databases.main,
    replicables: [site.replicables.widgets],
    encryptionKey: site.encryptionKey,
    logger: { debug: () => undefined, info: () => undefined, warn: keepCode, error: keepCode },
    clock: site.clock,
    threads: 1,
    work: false,
    idleTimeoutMs: IDLE_MS,
    authorize: () => true,
    graphql: geoGraphql(),
  })
  const app = express()
  app.get('/files/:id', geo.serve(site.replicables.widgets))
  app.get('/late', (_request, response) => void setTimeout(() => response.send('late'), 3 * IDLE_MS))
  app.use(geo.router)
  server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  large = await site.addWidget('large', randomBytes(LARGE_BYTES))
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await geo?.stop()
  await site?.close()
})
beforeEach(() => void codes.splice(0))
afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.destroy()
})

async function open(head: string, options?: { reads?: boolean }, at = url): Promise<RawClient> {
  const client = await rawClient(at, head, options)
  clients.push(client)
  return client
}

const blob = (id: string): TokenScope => ({ replicable_name: 'widget', replicable_id: id })
const LIST: TokenScope = { replicable_name: 'widget', replicable_ids_sha256: digestOfIds(['1']) }
const retrieve = (id: string) => `/api/v4/geo/retrieve/widget/${id}`
const askLarge = async () => requestHead('GET', retrieve(large), { authorization: await site.sign(blob(large)) })
const JSON_BODY = { 'content-type': 'application/json', 'content-length': '100' }
const ENDLESS_BODY = { ...JSON_BODY, 'content-length': '100000' }
const FORM_BODY = {
  'content-type': 'application/x-www-form-urlencoded',
  'content-length': '100',
  'sec-fetch-site': 'same-origin',
}

async function untilCutWhileSending(client: RawClient): Promise<void> {
  await until(async () => {
    if (!client.closed) client.socket.write(' ')
    return client.closed
  }, 10_000)
}

describe('Whoever does not send the body of a request to its end is told so and cut,', () => {
  it.each<[string, () => Promise<string> | string]>([
    [
      'where blobs are asked for',
      async () =>
        requestHead('POST', '/api/v4/geo/retrieve/widget', { ...JSON_BODY, authorization: await site.sign(LIST) }),
    ],
    [
      'where a status is posted',
      async () =>
        requestHead('POST', '/api/v4/geo/status', {
          ...JSON_BODY,
          authorization: await site.sign({ scope: 'geo_api' }),
        }),
    ],
    ['at GraphQL', () => requestHead('POST', '/api/graphql', JSON_BODY)],
    ['over REST', () => requestHead('POST', '/api/v4/geo_nodes', JSON_BODY)],
    ['on the admin pages', () => requestHead('POST', '/admin/geo/sites', FORM_BODY)],
  ])('%s', async (_, head) => {
    const client = await open(await head())
    await client.untilClosed()
    expect(client.received).toMatch(/^HTTP\/1\.1 408 /)
    expect(client.received).toContain('"code":"CLIENT_TOO_SLOW"')
    expect(codes).toContain('CLIENT_TOO_SLOW')
  })

  it('also where a byte of it comes now and then', async () => {
    const client = await open(requestHead('POST', '/api/graphql', ENDLESS_BODY))
    await untilCutWhileSending(client)
    expect(client.received).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('also where it was refused before: what it sends on is not read without end', async () => {
    const client = await open(requestHead('POST', '/api/v4/geo/status', ENDLESS_BODY))
    await untilCutWhileSending(client)
    expect(client.received).toMatch(/^HTTP\/1\.1 401 /)
    expect(client.received).not.toContain('408')
  })
})

describe('Whoever takes nothing of a file is cut,', () => {
  it.each<[string, () => Promise<string> | string]>([
    ['another site', askLarge],
    ['a person', () => requestHead('GET', `/files/${large}`)],
  ])('%s', async (_, head) => {
    const client = await open(await head(), { reads: false })
    await until(() => codes.includes('CLIENT_TOO_SLOW'))
    // What the kernel has kept, and no more.
    let length = 0
    client.socket.on('data', (chunk: Buffer) => {
      length += chunk.length
    })
    client.socket.resume()
    await client.untilClosed()
    expect(length).toBeLessThan(LARGE_BYTES)
  })
})

it('Whoever takes a file slowly, but goes on, gets the whole of it', async () => {
  const idleTimeoutMs = 1000
  const client = await open(await askLarge(), { reads: false }, await site.serveAlso({ idleTimeoutMs }))
  let length = 0
  client.socket.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  const startedAt = performance.now()
  while (length < LARGE_BYTES && !client.closed) {
    const before = length
    client.socket.resume()
    await until(() => length - before > 2 * 1024 * 1024 || length >= LARGE_BYTES || client.closed)
    client.socket.pause()
    await pause(idleTimeoutMs / 4)
  }
  expect(length).toBeGreaterThanOrEqual(LARGE_BYTES)
  expect(performance.now() - startedAt).toBeGreaterThan(idleTimeoutMs)
})

it('A site that may not receive faster has its transfers wait for each other as long as that takes', async () => {
  await geo.sites.update('paris', { transferBytesPerSecond: 2_000_000, filesMaxCapacity: 2 })
  try {
    const client = await open(await askLarge(), { reads: false })
    await pause(2 * IDLE_MS)
    expect(codes).toEqual([])
    await until(() => codes.includes('CLIENT_TOO_SLOW'))
    client.socket.resume()
    await client.untilClosed()
  } finally {
    await geo.sites.update('paris', { transferBytesPerSecond: null, filesMaxCapacity: 10 })
  }
})

it.each([0, 5000])(
  'A file leaves no limit behind on a connection that is kept for %i ms',
  async (keepAliveTimeoutMs) => {
    server.keepAliveTimeout = keepAliveTimeoutMs
    const small = await site.addWidget('small', 'small')
    const client = await open(requestHead('GET', `/files/${small}`))
    await until(() => client.received.endsWith('small'))
    client.socket.write(requestHead('GET', '/late'))
    await until(() => client.received.endsWith('late') || client.closed)
    expect(client.received).toMatch(/late$/)
  },
)

describe('With a capacity of 1 and a margin of 1', () => {
  let patient: string
  const ask = async (who: string) =>
    request(patient)
      .get(retrieve('1'))
      .set('authorization', await signedBy(who, blob('1')))
  const signedBy = async (name: string, scope: TokenScope) => {
    const [known] = (await geo.sites.list()).filter((one) => one.name === name)
    if (!known) throw new Error(`There is no site ${name}`)
    return signRequest(known, site.secretOf(known), scope, site.clock)
  }
  beforeAll(async () => {
    patient = await site.serveAlso({ retrieveMargin: 1 })
    await geo.sites.add({ name: 'oslo', url: 'http://oslo.test' })
    await geo.sites.update('paris', { filesMaxCapacity: 1 })
  })

  it('a third request of a site for blobs is to come again, that of another site is not, and one that has ended makes room', async () => {
    const held: RawClient[] = []
    const refused = async () => (await ask('paris')).status === 429
    // Whoever asks in between may have the place that one of them wanted.
    await until(async () => {
      held.push(await open(await askLarge(), { reads: false }, patient))
      return refused()
    })

    const answer = await ask('paris')
    expect([answer.status, answer.body.code, answer.get('retry-after')]).toEqual([429, 'TOO_MANY_TRANSFERS', '2'])
    expect((await ask('oslo')).status).not.toBe(429)
    expect((await request(patient).get(retrieve('1'))).status).toBe(401)

    for (const { socket } of held) socket.destroy()
    await until(async () => !(await refused()))
  })
})
