import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { createGeo, type Geo, type Site } from '../../lib/index.ts'
import { decryptSecret } from '../../lib/secret.ts'
import { signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { type Asked, askedDuring } from '../support/asked-during.ts'
import { type RawClient, rawClient, requestHead } from '../support/raw-client.ts'
import { PRIMARY, SECONDARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'

const SLOW_CLIENTS = 300
const CAPACITY = 10
const TIMEOUT = { timeout: 240_000 }

let sites: TwoSites
let geo: Geo
let paris: Site
let large: string
let small: string

beforeAll(async () => {
  sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
  large = (await sites.upload('widgets', 'large', randomBytes(16 * 1024 * 1024))).id
  small = (await sites.upload('widgets', 'small', randomBytes(1000))).id
  await sites.untilVerified({ widgets: 2, gadgets: 0 })
  const { databases, encryptionKey } = sites
  geo = createGeo({ siteName: PRIMARY, mainDb: databases.main, replicables: [], encryptionKey, work: false })
  paris = (await geo.sites.list()).find(({ name }) => name === SECONDARY) as Site
  expect(paris.filesMaxCapacity).toBe(CAPACITY)
}, 120_000)
afterAll(async () => {
  await geo?.stop()
  await sites?.stop()
})
function sign(scope: TokenScope): Promise<string> {
  const secret = decryptSecret(paris.secret, Buffer.from(sites.encryptionKey, 'hex'), paris.accessKey)
  return signRequest(paris, secret, scope, systemClock)
}
const path = (id: string) => `/api/v4/geo/retrieve/widget/${id}`
const blob = (id: string): TokenScope => ({ replicable_name: 'widget', replicable_id: id })

function tell(what: string, { count, p50Ms, p99Ms }: Asked): void {
  console.info(`${what}: ${count} requests of the host, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`)
}

async function expectWell(what: string, work: () => Promise<unknown>): Promise<void> {
  const hostsOwn = `${sites.primary.url}/widgets/${small}`
  const idle = await askedDuring(hostsOwn, () => pause(500))
  const asked = await askedDuring(hostsOwn, work)
  tell('Idle', idle)
  tell(what, asked)
  expect([...asked.statuses]).toEqual([200])
  expect(asked.count).toBeGreaterThan(0)
}

it(
  'Hundreds of clients that never end their headers or their bodies, or take nothing of an answer, do not keep the host from others',
  TIMEOUT,
  async () => {
    const signed = { authorization: await sign(blob(large)) }
    const status = { authorization: await sign({ scope: 'geo_api' }), 'content-type': 'application/json' }
    const clients: RawClient[] = []
    const of = async (head: string, reads: boolean) => {
      const client = await rawClient(sites.primary.url, head, { reads })
      clients.push(client)
    }
    const dripping = async () => {
      for (let round = 0; round < 10; round += 1) {
        for (const { socket } of clients) if (socket.writable) socket.write('x')
        await pause(100)
      }
    }
    await expectWell(`${3 * SLOW_CLIENTS} slow clients`, async () => {
      for (let n = 0; n < SLOW_CLIENTS; n += 1) {
        await of(requestHead('GET', path(large), signed).slice(0, -2), true)
        await of(requestHead('POST', '/api/v4/geo/status', { ...status, 'content-length': '1000' }), true)
        await of(requestHead('GET', path(large), signed), false)
      }
      await dripping()
    }).finally(() => {
      for (const { socket } of clients) socket.destroy()
    })
  },
)

it(
  'Headers up to the limit of Node are answered, beyond it with 431, and far beyond it cut off at the latest',
  TIMEOUT,
  async () => {
    const answer = async (bytes: number, authorization: string) => {
      const client = await rawClient(
        sites.primary.url,
        requestHead('GET', path(small), { connection: 'close', authorization, 'x-long': 'a'.repeat(bytes) }),
      )
      await client.untilClosed()
      return Number(/^HTTP\/1\.1 (\d+)/.exec(client.received)?.[1])
    }
    await expectWell('Huge headers', async () => {
      const authorization = await sign(blob(small))
      expect(await answer(15_000, authorization)).toBe(200)
      expect(await answer(10, `GL-Geo ${'a'.repeat(7000)}:${'b'.repeat(7000)}`)).toBe(401)
      const many = (bytes: number) => Promise.all(Array.from({ length: 200 }, () => answer(bytes, authorization)))
      expect(new Set(await many(17_000))).toEqual(new Set([431]))
      // What Node has not read when it closes resets the connection, and a reset may overtake its answer.
      const far = await many(1024 * 1024)
      expect(far.filter((status) => status !== 431 && !Number.isNaN(status))).toEqual([])
      await pause(200)
    })
  },
)

it.each([
  ['signed', async () => ({ authorization: await sign(blob(large)) }), [200, 429, 503], 429],
  ['signed by nobody', async () => ({ authorization: `GL-Geo ${'a'.repeat(20)}:${'b'.repeat(90)}` }), [401], 401],
])(
  'A hundred times the requests that the site is allowed, %s, are each answered, and so is the host',
  TIMEOUT,
  async (what, headers, possible, certain) => {
    const statuses: number[] = []
    await expectWell(`${100 * CAPACITY} at once, ${what}`, async () => {
      const sent = await headers()
      const open = Array.from({ length: 100 * CAPACITY }, () =>
        rawClient(sites.primary.url, requestHead('GET', path(large), { ...sent, connection: 'close' })),
      )
      for (const client of await Promise.all(open)) {
        await client.untilClosed(120_000)
        statuses.push(Number(/^HTTP\/1\.1 (\d+)/.exec(client.received)?.[1]))
      }
    })
    expect(statuses).toHaveLength(100 * CAPACITY)
    expect(statuses.filter((status) => !possible.includes(status))).toEqual([])
    expect(statuses).toContain(certain)
  },
)
