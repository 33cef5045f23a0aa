import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import request, { type Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonText } from '../../../lib/transfer/json-text.ts'
import { signRequest, type TokenScope } from '../../../lib/transfer/token.ts'
import type { SiteDetails } from '../../../lib/view/details/details.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites({ rome: { idleTimeoutMs: 200 } })
})
afterAll(() => sites?.close())

const DOOR = 'api/v4/geo/details'
const START = JSON.stringify({ call: 'startRun', input: { action: 'reverify', type: 'widget' } })
const RUNS = JSON.stringify({ call: 'runs', input: {} })

function scopeOf(body: string, abilities: readonly ('read_geo' | 'admin_geo')[] = ['read_geo']): TokenScope {
  const { sha256 } = jsonText(JSON.parse(body))
  return { details_sha256: sha256, authenticating_user_id: 'mallory', abilities }
}

function signedBy(name: string, scope: TokenScope, { secret, nowMs }: { secret?: string; nowMs?: number } = {}) {
  const { sites: directory, settings } = sites.rome
  const site = directory.byName(name)
  if (!site) throw new Error(`There is no ${name}`)
  const clock = nowMs === undefined ? settings.clock : { ...settings.clock, nowMs: () => nowMs }
  return signRequest(site, secret ?? directory.secretOf(site), scope, clock)
}

function knock(body: string, authorization?: string): Promise<Response> {
  const asked = request(sites.parisUrl).post(DOOR).set('content-type', 'application/json').set('x-role', 'admin')
  if (authorization !== undefined) asked.set('authorization', authorization)
  return asked.send(body).then()
}

const runsOfParis = () => sites.paris.databases.tracking('geo_bulk_runs').select('id')

describe('The door at which the primary asks', () => {
  it('opens to what the primary has signed', async () => {
    const { status, body, headers } = await knock(RUNS, await signedBy('rome', scopeOf(RUNS)))
    expect({ status, body }).toEqual({ status: 200, body: [] })
    expect(headers['cache-control']).toBe('no-store')
  })

  it.each([
    ['by nobody', async () => undefined, 'UNAUTHORIZED'],
    ['by the secondary itself', () => signedBy('paris', scopeOf(START, ['admin_geo'])), 'TOKEN_SCOPE'],
    ['for another question', () => signedBy('rome', scopeOf(RUNS, ['admin_geo'])), 'TOKEN_SCOPE'],
    ['for something else', () => signedBy('rome', { scope: 'geo_api' }), 'TOKEN_SCOPE'],
    [
      'for GraphQL',
      () => {
        const { sha256 } = jsonText(JSON.parse(START))
        return signedBy('rome', { graphql_sha256: sha256, authenticating_user_id: null, abilities: ['admin_geo'] })
      },
      'TOKEN_SCOPE',
    ],
    [
      'with another secret',
      () => signedBy('rome', scopeOf(START, ['admin_geo']), { secret: 'another secret of thirty-two bytes' }),
      'UNAUTHORIZED',
    ],
    [
      'three minutes ago',
      () => signedBy('rome', scopeOf(START, ['admin_geo']), { nowMs: sites.paris.clock.nowMs() - 180_000 }),
      'TOKEN_EXPIRED',
    ],
  ])('stays shut to what was signed %s, whatever the host would say', async (_, authorization, code) => {
    const { status, body } = await knock(START, await authorization())
    expect({ status, body }).toMatchObject({ status: 401, body: { code } })
    expect(await runsOfParis()).toEqual([])
  })

  it('stays shut at the primary to what the primary has signed for a secondary, which holds the token too', async () => {
    const { main } = sites.paris.databases
    const authorization = await signedBy('rome', scopeOf(START, ['admin_geo']))
    const asked = request(sites.url).post(DOOR).set('content-type', 'application/json')
    const { status, body } = await asked.set('authorization', authorization).send(START)
    expect({ status, body }).toMatchObject({ status: 409, body: { code: 'NOT_SECONDARY' } })
    expect(await main('geo_bulk_runs').select('id')).toEqual([])
  })

  it('says that its database is away while it is', async () => {
    const { databases } = sites.paris.assembly
    await databases.main.destroy()
    sites.paris.clock.advance(60_000)
    const { status, body } = await knock(RUNS, await signedBy('rome', scopeOf(RUNS)))
    databases.main.initialize()
    expect({ status, body }).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } })
    expect(JSON.stringify(body)).not.toMatch(/select|pool|knex/i)
  })

  it('does nothing that the asker may not do', async () => {
    const { status, body } = await knock(START, await signedBy('rome', scopeOf(START)))
    expect({ status, body }).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
    expect(await runsOfParis()).toEqual([])
  })

  it.each([
    ['a call that there is not', '{"call":"constructor","input":{}}', 400, 'INVALID_REQUEST'],
    ['no JSON', '{"call":', 400, 'INVALID_REQUEST'],
    ['more than it takes', JSON.stringify({ call: 'runs', input: 'x'.repeat(1024 * 1024) }), 413, 'REQUEST_TOO_LARGE'],
  ])('refuses %s', async (_, text, expectedStatus, code) => {
    const scope = text.endsWith('}') ? scopeOf(text) : scopeOf(RUNS)
    const { status, body } = await knock(text, await signedBy('rome', scope))
    expect({ status, body }).toMatchObject({ status: expectedStatus, body: { code } })
  })

  it('reads no body of a stranger', async () => {
    const { body } = await knock('x'.repeat(2 * 1024 * 1024))
    expect(body).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('a token of it opens no other door', async () => {
    const authorization = await signedBy('rome', scopeOf(RUNS, ['admin_geo']))
    const posted = await request(sites.url).post('api/v4/geo/status').set('authorization', authorization).send({})
    expect(posted.status).toBe(401)
  })
})

/** What rome makes of a site at paris's address that answers like this. */
async function askingInstead<Answer>(
  listener: RequestListener | null,
  ask: (details: SiteDetails) => Promise<Answer>,
): Promise<Answer> {
  const server = createServer(listener ?? (() => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const { main } = sites.paris.databases
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  if (!listener) await close()
  await main('geo_nodes')
    .where({ name: 'paris' })
    .update({ internal_url: `http://127.0.0.1:${port}/` })
  await sites.rome.sites.refresh()
  try {
    const paris = sites.rome.sites.byName('paris')
    if (!paris) throw new Error('There is no paris')
    return await ask(sites.rome.viewing.details.of(paris, { operator: null, abilities: ['read_geo'], ip: null }))
  } finally {
    await main('geo_nodes').where({ name: 'paris' }).update({ internal_url: null })
    await sites.rome.sites.refresh()
    if (listener) await close()
  }
}

const answering =
  (status: number, body: string, type = 'application/json'): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': type }).end(body)

const PAGE = { type: 'widget', filters: {}, window: { limit: 10 }, countUpTo: null }
const GROUP = {
  type: 'widget',
  code: 'X',
  count: 1,
  newest: { id: '1', message: null, at: null },
  advice: null,
  retries: [],
}

describe('A site that answers as none should', () => {
  it.each([
    ['another shape', answering(200, '{"entries":{}}'), 'INVALID_RESPONSE'],
    ['a page of a proxy', answering(200, '<script>alert(1)</script>', 'text/html'), 'INVALID_RESPONSE'],
    ['a page that there is not', answering(404, '<h1>Not Found</h1>', 'text/html'), 'INVALID_RESPONSE'],
    ['a failure of a proxy', answering(502, '<h1>Bad Gateway</h1>', 'text/html'), 'SITE_UNREACHABLE'],
    ['a code of ours', answering(409, '{"code":"NOT_SECONDARY","message":"No"}'), 'NOT_SECONDARY'],
    ['a code that nobody knows', answering(400, '{"code":"__proto__","message":"No"}'), 'INVALID_RESPONSE'],
    ['somewhere else to go', answering(302, ''), 'INVALID_RESPONSE'],
    ['nothing', (incoming) => void incoming.socket.destroy(), 'SITE_UNREACHABLE'],
    ['nobody', null, 'SITE_UNREACHABLE'],
  ] as [string, RequestListener | null, string][])('with %s is an error by its code', async (_, listener, code) => {
    const failure = await askingInstead(listener, (details) =>
      details.registries(PAGE).then(
        () => null,
        (reason: unknown) => reason,
      ),
    )
    expect(failure).toMatchObject({ name: 'GeoError', code })
    expect(String((failure as Error).message)).not.toContain('<')
  })

  it('is not waited for where it falls silent in the middle', async () => {
    const silent: RequestListener = (_request, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).write('[')
    await expect(askingInstead(silent, (details) => details.runs())).rejects.toMatchObject({ code: 'SITE_UNREACHABLE' })
  })

  it('is named where it does not answer', async () => {
    const failing = askingInstead(null, (details) => details.runs())
    await expect(failing).rejects.toMatchObject({
      code: 'SITE_UNREACHABLE',
      message: expect.stringContaining('"paris"'),
    })
  })

  it('is not listened to without end', async () => {
    let sent = 0
    const endless: RequestListener = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const chunk = `${' '.repeat(64 * 1024)}`
      const more = () => {
        while (!response.destroyed && sent < 64 * 1024 * 1024) {
          sent += chunk.length
          if (!response.write(chunk)) return void response.once('drain', more)
        }
      }
      more()
    }
    await expect(askingInstead(endless, (details) => details.runs())).rejects.toMatchObject({
      code: 'INVALID_RESPONSE',
      message: expect.stringContaining('too long'),
    })
    expect(sent).toBeLessThan(32 * 1024 * 1024)
  })

  it('has no words without end, and none that it was not asked for', async () => {
    const groups = (group: object) => answering(200, JSON.stringify([{ ...GROUP, ...group }]))
    const ask = (details: SiteDetails) => details.failures('widget')
    expect(await askingInstead(groups({ further: '<b>' }), ask)).toEqual([GROUP])
    await expect(askingInstead(groups({ advice: 'x'.repeat(10_001) }), ask)).rejects.toMatchObject({
      code: 'INVALID_RESPONSE',
    })
    await expect(askingInstead(groups({ count: '1' }), ask)).rejects.toMatchObject({ code: 'INVALID_RESPONSE' })
  })
})
