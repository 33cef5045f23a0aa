import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { flagDefinition } from '../../lib/generate/flag-definition.ts'
import { type FlaggedSite, type FlaggedSites, startFlaggedSites } from '../support/flagged-sites.ts'
import { type UnleashServer, unleashWithout } from '../support/unleash-server.ts'

const FLAG = 'geo_widget_replication'
const QUERY = '{ geoNode(name: "paris") { widgetRegistries { nodes { state verificationState } } } }'
const SYNCED_AND_VERIFIED = { state: 2, verification_state: 2 }

/** The three steps of a release (GB.N.3): the flag's default is on, nothing overrides it, and the GraphQL field is not gated. */
describe("A release: `released: '0.2.0'` in the declaration, and nothing else", () => {
  let unleash: UnleashServer
  let sites: FlaggedSites
  let before: FlaggedSite
  let rome: FlaggedSite
  let paris: FlaggedSite

  beforeAll(async () => {
    unleash = await unleashWithout(FLAG)
    sites = await startFlaggedSites(unleash)
    before = sites.paris
    await sites.client.upload(sites.rome.url, 'widgets', 'unreleased', 'bytes')
    rome = await sites.another(sites.rome, { released: '0.2.0' })
    paris = await sites.another(sites.paris, { released: '0.2.0' })
    await sites.rome.geo.sites.update('rome', { url: rome.url, internalUrl: rome.url })
    await sites.rome.geo.sites.update('paris', { url: paris.url, internalUrl: paris.url })
    await sites.databases.caughtUp()
  })
  afterAll(() => sites?.close())

  async function ask({ url }: FlaggedSite): Promise<unknown> {
    const response = await fetch(`${url}/api/graphql`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${sites.adminToken}`,
        'content-type': 'application/json',
        connection: 'close',
      },
      body: JSON.stringify({ query: QUERY }),
    })
    return response.json()
  }
  const UNKNOWN_FIELD = { errors: [{ message: expect.stringContaining('Cannot query field "widgetRegistries"') }] }

  it('turns the default on: what was there before is replicated, and Unleash has no such flag', async () => {
    expect(await unleash.admin('GET', `/projects/default/features/${FLAG}`)).toMatchObject({ status: 404 })
    expect([before.isOn, paris.isOn]).toEqual([false, true])
    for (const site of [rome, paris]) await site.settle()
    expect(await sites.registry(paris)).toEqual([SYNCED_AND_VERIFIED])
  })

  it('ends the gate of the GraphQL field', async () => {
    expect(await ask(before)).toMatchObject(UNKNOWN_FIELD)
    expect(await ask(paris)).toEqual({
      data: { geoNode: { widgetRegistries: { nodes: [{ state: 'SYNCED', verificationState: 'SUCCEEDED' }] } } },
    })
  })

  it('leaves the flag as the switch that ends it: known to Unleash and off, the type is off and the field is empty', async () => {
    await unleash.import(flagDefinition(paris.widgets.names))
    await Promise.all([rome, paris, before].map((site) => site.knows(FLAG, (flag) => flag?.enabled === false)))
    expect([rome.isOn, paris.isOn]).toEqual([false, false])
    expect(await ask(paris)).toEqual({ data: { geoNode: { widgetRegistries: { nodes: [] } } } })
    expect(await ask(before)).toMatchObject(UNKNOWN_FIELD)
  })

  it('is on again by its default alone, once the flag is deleted there', async () => {
    await unleash.admin('DELETE', `/projects/default/features/${FLAG}`)
    await Promise.all([rome, paris, before].map((site) => site.knows(FLAG, (flag) => flag === undefined)))
    expect([rome.isOn, paris.isOn, before.isOn]).toEqual([true, true, false])
  })
})
