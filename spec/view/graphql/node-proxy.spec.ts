import type { AddressInfo } from 'node:net'
import express, { type Router } from 'express'
import request, { type Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonText } from '../../../lib/transfer/json-text.ts'
import { signRequest, type TokenScope } from '../../../lib/transfer/token.ts'
import { createGraphqlSites, type GraphqlSites, type Role } from '../../support/graphql-sites.ts'
import { rawClient, requestHead } from '../../support/raw-client.ts'
import { until } from '../../support/until.ts'

let sites: GraphqlSites
let ids: Record<'rome' | 'paris', string>
beforeAll(async () => {
  sites = await createGraphqlSites()
  const rows: { id: string; name: 'rome' | 'paris' }[] = await sites.paris.databases
    .main('geo_nodes')
    .select('id', 'name')
  ids = Object.fromEntries(rows.map(({ id, name }) => [name, String(id)])) as typeof ids
})
afterAll(() => sites?.close())

/** The routes in an app that parses JSON before them, below a path of its own. */
async function serveParsed(router: Router) {
  const server = express().use(express.json()).use('/deep/er', router).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/deep/er/`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const NAME = '{ geoNode { name widgetRegistries { count } } }'
const CANCEL = 'mutation { geoBulkRunCancel(input: { id: "1" }) { errors } }'

/** An operation that the primary is to pass on to a site. */
function through(id: string, query: string, as: Role, at = sites.url): Promise<Response> {
  return request(at).post(`api/v4/geo/node_proxy/${id}/graphql`).set('x-role', as).send({ query }).then()
}

describe('An operation that the primary passes on', () => {
  it('is answered by the secondary', async () => {
    const { body, headers } = await through(ids.paris, NAME, 'reader')
    expect(body).toEqual({ data: { geoNode: { name: 'paris', widgetRegistries: { count: 0 } } } })
    expect(headers['content-type']).toMatch(/json/)
  })

  it('to the primary itself is answered there', async () => {
    const { body } = await through(ids.rome, NAME, 'reader')
    expect(body).toEqual({ data: { geoNode: { name: 'rome', widgetRegistries: { count: 0 } } } })
  })

  it('carries who asks, and what that person may', async () => {
    const bulk = `mutation { geoRegistriesBulkUpdate(input: { registryClass: WIDGET_REGISTRY, action: REVERIFY_ALL }) {
      errors run { requestedBy } } }`
    expect((await through(ids.paris, bulk, 'reader')).body.errors).toMatchObject([
      { extensions: { code: 'RESOURCE_NOT_AVAILABLE' } },
    ])
    expect((await through(ids.paris, bulk, 'admin')).body).toEqual({
      data: { geoRegistriesBulkUpdate: { errors: [], run: { requestedBy: 'admin' } } },
    })
  })

  it('is answered by hosts that read every body themselves', async () => {
    const { main } = sites.paris.databases
    const [primary, secondary] = [await serveParsed(sites.rome.router), await serveParsed(sites.paris.assembly.router)]
    await main('geo_nodes').where({ name: 'paris' }).update({ internal_url: secondary.url })
    await sites.rome.sites.refresh()
    const { body } = await through(ids.paris, NAME, 'reader', primary.url)
    await main('geo_nodes').where({ name: 'paris' }).update({ internal_url: null })
    await sites.rome.sites.refresh()
    await Promise.all([primary.close(), secondary.close()])
    expect(body).toMatchObject({ data: { geoNode: { name: 'paris' } } })
  })

  it('is refused to those who may not read, before its body is read', async () => {
    const { status, body } = await through(ids.paris, 'x'.repeat(1_000_000), 'nobody')
    expect({ status, body }).toEqual({ status: 403, body: { message: '403 Forbidden' } })
  })

  it('to a site that there is not, and by a secondary, is refused', async () => {
    expect((await through('999', NAME, 'reader')).status).toBe(404)
    const bySecondary = await through(ids.rome, NAME, 'reader', sites.parisUrl)
    expect(bySecondary).toMatchObject({ status: 409, body: { code: 'NOT_PRIMARY' } })
  })

  it('to a site that does not answer is an error with a code', async () => {
    const { main } = sites.paris.databases
    await main('geo_nodes').where({ name: 'paris' }).update({ internal_url: 'http://127.0.0.1:1/' })
    await sites.rome.sites.refresh()
    const { status, body } = await through(ids.paris, NAME, 'reader')
    await main('geo_nodes').where({ name: 'paris' }).update({ internal_url: null })
    await sites.rome.sites.refresh()
    expect({ status, body }).toEqual({
      status: 500,
      body: { error: 'The site "paris" does not answer (ECONNREFUSED)', code: 'SITE_UNREACHABLE' },
    })
  })

  it('while the database is away is an error with a code, and nothing of the statement', async () => {
    const { databases } = sites.rome
    await databases.main.destroy()
    sites.paris.clock.advance(60_000)
    const { status, body } = await through(ids.paris, NAME, 'reader')
    databases.main.initialize()
    expect(status).toBe(503)
    expect(body).toEqual({ error: 'The database does not answer', code: 'DATABASE_UNAVAILABLE' })
  })

  it('whose making fails inside is an error with a code, and its words are for the log', async () => {
    const { main, caughtUp } = sites.paris.databases
    sites.paris.logger.clear()
    await main.raw('alter table geo_nodes rename to elsewhere')
    sites.paris.clock.advance(60_000)
    const { status, body } = await through(ids.paris, NAME, 'reader')
    await main.raw('alter table elsewhere rename to geo_nodes')
    await caughtUp()
    expect({ status, body }).toEqual({ status: 500, body: { error: 'Internal error', code: 'INTERNAL' } })
    expect(sites.paris.logger.lines.map(({ fields }) => fields['cause'])).toEqual([
      expect.stringContaining('relation "geo_nodes" does not exist'),
    ])
  })
})

describe('The door for what the primary passes on', () => {
  const BODY = JSON.stringify({ query: CANCEL })
  const scopeOf = (body: string): TokenScope => ({
    graphql_sha256: jsonText(JSON.parse(body)).sha256,
    authenticating_user_id: 'mallory',
    abilities: ['admin_geo'],
  })

  async function knock(body: string, authorization?: string): Promise<Response> {
    const asked = request(sites.parisUrl).post('api/v4/geo/graphql').set('content-type', 'application/json')
    if (authorization !== undefined) asked.set('authorization', authorization)
    return asked.set('x-role', 'admin').send(body)
  }
  const signedBy = (name: string, scope: TokenScope, secret?: string) => {
    const { sites: directory, settings } = sites.rome
    const site = directory.byName(name)
    if (!site) throw new Error(`There is no ${name}`)
    return signRequest(site, secret ?? directory.secretOf(site), scope, settings.clock)
  }

  it('lets the primary in with the operation that it signed', async () => {
    const { status, body } = await knock(BODY, await signedBy('rome', scopeOf(BODY)))
    expect({ status, body }).toMatchObject({ status: 200, body: { data: { geoBulkRunCancel: {} } } })
  })

  it('is shut at the primary to what the primary has signed for a secondary, which holds the token too', async () => {
    const asked = request(sites.url).post('api/v4/geo/graphql').set('content-type', 'application/json')
    const { status, body } = await asked.set('authorization', await signedBy('rome', scopeOf(BODY))).send(BODY)
    expect(status).toBe(409)
    expect(body.errors).toMatchObject([{ extensions: { code: 'NOT_SECONDARY' } }])
  })

  it('says that its database is away while it is', async () => {
    const { databases } = sites.paris.assembly
    await databases.main.destroy()
    sites.paris.clock.advance(60_000)
    const { status, body } = await knock(BODY, await signedBy('rome', scopeOf(BODY)))
    databases.main.initialize()
    expect(status).toBe(503)
    expect(body.errors).toEqual([
      { message: 'The database does not answer', extensions: { code: 'DATABASE_UNAVAILABLE' } },
    ])
  })

  it.each([
    ['nobody', async () => undefined],
    ['the secondary itself', () => signedBy('paris', scopeOf(BODY))],
    ['the primary for another operation', () => signedBy('rome', scopeOf('{}'))],
    ['the primary for something else', () => signedBy('rome', { scope: 'geo_api' })],
    ['somebody with another secret', () => signedBy('rome', scopeOf(BODY), 'another secret of thirty-two bytes')],
  ])('refuses what is signed by %s, whatever the host would say', async (_, authorization) => {
    const { status, body } = await knock(BODY, await authorization())
    expect(status).toBe(401)
    expect(body.errors).toMatchObject([{ extensions: { code: expect.stringMatching(/^(UNAUTHORIZED|TOKEN_SCOPE)$/) } }])
    expect(body.data).toBeUndefined()
  })

  it.each([
    ['nobody', async () => ({})],
    ['the secondary itself', async () => ({ authorization: await signedBy('paris', scopeOf(BODY)) })],
  ])('refuses what is signed by %s before anything of the body has come', async (_, authorization) => {
    const json = { 'content-type': 'application/json', 'content-length': '100000' }
    const head = requestHead('POST', '/api/v4/geo/graphql', { ...json, ...(await authorization()) })
    const client = await rawClient(sites.parisUrl, head)
    await until(() => client.received.includes('401 Unauthorized')).finally(() => client.socket.destroy())
    expect(client.received).toMatch(/^HTTP\/1\.1 401 /)
  })

  it('such a token opens no other door', async () => {
    const authorization = await signedBy('rome', scopeOf(BODY))
    const posted = await request(sites.url).post('api/v4/geo/status').set('authorization', authorization).send({})
    expect(posted.status).toBe(401)
  })
})
