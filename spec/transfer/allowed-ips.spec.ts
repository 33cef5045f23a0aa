import request, { type Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AllowedIps } from '../../lib/allowed-ips.ts'
import { systemClock } from '../../lib/clock.ts'
import { SiteDirectory } from '../../lib/site.ts'
import { signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { createReadingSites, type ReadingSites, type ServedSite } from '../support/reading-sites.ts'

describe('addresses that are allowed', () => {
  const isAmong = (entries: readonly string[], ip: string | undefined) => new AllowedIps(entries).includes(ip)

  it('are single ones and ranges, of IPv4 and IPv6', () => {
    const entries = ['192.0.2.7', '10.0.0.0/8', '2001:db8::1', '2001:db8:1::/48']
    for (const ip of ['192.0.2.7', '10.255.0.1', '2001:db8::1', '2001:db8:1:2::3'])
      expect(isAmong(entries, ip)).toBe(true)
    for (const ip of ['192.0.2.8', '11.0.0.1', '2001:db8::2', '2001:db8:2::3']) expect(isAmong(entries, ip)).toBe(false)
  })

  it('are the same where a server that listens on IPv6 writes them so', () => {
    expect(isAmong(['10.0.0.0/8'], '::ffff:10.0.0.1')).toBe(true)
    expect(isAmong(['10.0.0.0/8'], '::ffff:11.0.0.1')).toBe(false)
  })

  it('are no words, and nothing that is unknown', () => {
    for (const ip of [undefined, '', 'unknown', '10.0.0.1:80']) expect(isAmong(['0.0.0.0/0', '::/0'], ip)).toBe(false)
  })

  for (const wrong of ['', 'paris.test', '10.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1'])
    it(`cannot be given as ${JSON.stringify(wrong)}`, () => {
      expect(() => new AllowedIps(['10.0.0.1', wrong])).toThrow(`${JSON.stringify(wrong)} is neither`)
    })
})

describe('what sites ask of each other', () => {
  const FROM = '198.51.100.7'
  let sites: ReadingSites
  let directory: SiteDirectory
  let id: string
  const byAllowed = new Map<string, { tokyo: ServedSite; paris: ServedSite }>()

  beforeAll(async () => {
    sites = await createReadingSites()
    directory = new SiteDirectory('tokyo', sites.databases.main, [ENCRYPTION_KEY], systemClock)
    await directory.refresh()
    id = await sites.addWidget('a', 'bytes')
    await sites.addCopy(id, 'a', 'bytes')
    for (const allowedIps of [`10.0.0.0/8, ${FROM}`, '10.0.0.0/8', '127.0.0.1']) {
      const process = {
        options: { allowedIps },
        before: (app: { set(name: string, value: unknown): unknown }) => void app.set('trust proxy', 'loopback'),
      }
      const [tokyo, paris] = [await sites.serveAlso('tokyo', process), await sites.serveAlso('paris', process)]
      byAllowed.set(allowedIps, { tokyo, paris })
    }
  })
  afterAll(() => sites.close())

  async function signed(name: string, scope: TokenScope = { scope: 'geo_api' }): Promise<string> {
    const site = directory.all.find((known) => known.name === name)
    if (!site) throw new Error(`${name} is unknown`)
    return signRequest(site, directory.secretOf(site), scope, systemClock)
  }

  /** As a proxy on this machine passes it on. */
  async function knock(allowed: string, door: keyof typeof DOORS, from = FROM): Promise<Response> {
    const { at, method, path, signer, scope } = DOORS[door]
    const site = byAllowed.get(allowed)?.[at]
    const authorization = await signed(signer, scope?.())
    const knocking = request(site?.url ?? '')
      [method](path())
      .set('x-forwarded-for', from)
    return method === 'get'
      ? knocking.set({ authorization })
      : knocking.set({ authorization }).type('json').send('{ not JSON')
  }
  const widget = () => ({ replicable_name: 'widget', replicable_id: id })
  const parisId = () => directory.all.find(({ name }) => name === 'paris')?.id
  const DOORS = {
    'GET /api/v4/geo/retrieve': {
      at: 'tokyo',
      method: 'get',
      path: () => `/api/v4/geo/retrieve/widget/${id}`,
      signer: 'paris',
      scope: widget,
    },
    'POST /api/v4/geo/retrieve': {
      at: 'tokyo',
      method: 'post',
      path: () => '/api/v4/geo/retrieve/widget',
      signer: 'paris',
      scope: undefined,
    },
    'GET /api/v4/geo/copies': {
      at: 'paris',
      method: 'get',
      path: () => `/api/v4/geo/copies/widget/${id}`,
      signer: 'tokyo',
      scope: widget,
    },
    'POST /api/v4/geo/status': {
      at: 'tokyo',
      method: 'post',
      path: () => '/api/v4/geo/status',
      signer: 'paris',
      scope: undefined,
    },
    'PUT /api/v4/geo_nodes': {
      at: 'tokyo',
      method: 'put',
      path: () => `/api/v4/geo_nodes/${parisId()}`,
      signer: 'paris',
      scope: undefined,
    },
  } as const

  for (const door of Object.keys(DOORS) as (keyof typeof DOORS)[]) {
    it(`${door} is open to the addresses that are allowed`, async () => {
      const { status, body } = await knock(`10.0.0.0/8, ${FROM}`, door)
      // What was sent as a body is no JSON: it has been read, so the door was open.
      expect([door, status]).toEqual([door, door.startsWith('GET') ? 200 : 400])
      expect(body.code).not.toBe('IP_NOT_ALLOWED')
    })

    it(`${door} is closed to all others, before a body is read, and says to which address`, async () => {
      const { status, body } = await knock('10.0.0.0/8', door)
      expect([status, body]).toEqual([
        401,
        { code: 'IP_NOT_ALLOWED', message: `401 Unauthorized: no site may ask from the address ${FROM}` },
      ])
    })
  }

  it('goes by the address that Express trusts, not by the header of a stranger', async () => {
    const door = 'GET /api/v4/geo/retrieve'
    expect((await knock('127.0.0.1', door)).status).toBe(401)
    // The proxy itself; the stranger has written an address of his own in front of that from which he came.
    expect((await knock('10.0.0.0/8', door, `10.0.0.1, ${FROM}`)).status).toBe(401)
  })

  it('is closed without a signature whatever the address', async () => {
    const { tokyo } = byAllowed.get(`10.0.0.0/8, ${FROM}`) ?? {}
    const unsigned = await request(tokyo?.url ?? '')
      .get(`/api/v4/geo/retrieve/widget/${id}`)
      .set('x-forwarded-for', FROM)
    expect([unsigned.status, unsigned.body.code]).toEqual([401, 'UNAUTHORIZED'])
  })
})
