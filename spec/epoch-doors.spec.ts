import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { facadeOf } from '../lib/facade.ts'
import type { Geo } from '../lib/index.ts'
import { jsonText } from '../lib/transfer/json-text.ts'
import { digestOfIds, signRequest, type TokenScope } from '../lib/transfer/token.ts'
import { type AdminSites, createAdminSites, plain } from './support/admin-pages.ts'
import { addHostRow } from './support/fixture-rows.ts'

/** `rome`, the primary, which has heard of a later epoch: all that it would still serve or write, by every door that it has. */
let sites: AdminSites
let rome: Geo
let host: string
let close: () => void
let paris: string
let registryId: string

beforeAll(async () => {
  sites = await createAdminSites()
  rome = facadeOf(sites.rome)
  ;({ registryId } = await sites.add(sites.paris.widgets))
  await sites.rome.sites.refresh()
  paris = String(sites.rome.sites.byName('paris')?.id)
  const server = createServer(
    express()
      .get('/widgets/:id', rome.serve(sites.paris.widgets as never))
      .use(rome.readOnly())
      .all('/widgets', (_request, response) => void response.sendStatus(201)),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  host = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  close = () => void server.close()
  await addHostRow(sites.rome.databases.main, sites.paris.widgets)
  await sites.gatherAll()
  await sites.rome.sites.hear(1)
})
afterAll(async () => {
  close?.()
  await sites?.close()
})

interface Knock {
  readonly method?: string
  readonly at?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

async function knock(path: string, { method = 'GET', at = sites.url, headers = {}, body }: Knock = {}) {
  const json = body !== undefined && { 'content-type': 'application/json' }
  const answer = await fetch(`${at}${path}`, {
    method,
    redirect: 'manual',
    headers: { 'x-role': 'admin', ...json, ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, text: await answer.text() }
}

/** As a site that has heard of nothing yet. */
async function signed(as: string, path: string, scope: TokenScope, { method = 'POST', body = {} }: Knock = {}) {
  const { sites: directory, settings } = sites.rome
  const signer = directory.byName(as)
  if (!signer) throw new Error(`There is no ${as}`)
  const key = directory.signingKeyOf(signer)
  const authorization = await signRequest(key, directory.secretOf(key), scope, settings.clock)
  return knock(path, { method, headers: { authorization }, ...(method !== 'GET' && { body }) })
}

const FOR_ADMIN = { authenticating_user_id: 'ann', abilities: ['read_geo', 'admin_geo'] } as const
const CANCEL = { query: 'mutation { geoBulkRunCancel(input: { id: "1" }) { errors } }' }
const BULK = {
  query: `mutation { geoRegistriesBulkUpdate(input: { registryClass: WIDGET_REGISTRY, action: RESYNC_ALL }) { errors } }`,
}
const UPDATE = () => ({
  query: `mutation { geoRegistriesUpdate(input: { registryId: "gid://gitlab/Geo::WidgetRegistry/${registryId}", action: RESYNC }) { errors } }`,
})
const START = { call: 'startRun', input: { action: 'reverify', type: 'widget' } }
const list = () => `/sites/${paris}/replication/widgets`
const ONE: TokenScope = { replicable_name: 'widget', replicable_id: '1' }
const blob = { method: 'GET' }

const DOORS: readonly (readonly [name: string, ask: () => Promise<{ status: number; text: string }>])[] = [
  ['a blob', () => signed('paris', 'api/v4/geo/retrieve/widget/1', ONE, blob)],
  [
    'many blobs',
    () => {
      const scope = { replicable_name: 'widget', replicable_ids_sha256: digestOfIds(['1']) }
      return signed('paris', 'api/v4/geo/retrieve/widget', scope, { body: { ids: ['1'] } })
    },
  ],
  ['a copy', () => signed('rome', 'api/v4/geo/copies/widget/1', ONE, blob)],
  ['a status', () => signed('paris', 'api/v4/geo/status', { scope: 'geo_api' })],
  [
    'a site that pauses itself',
    () =>
      signed('paris', `api/v4/geo_nodes/${paris}`, { scope: 'geo_api' }, { method: 'PUT', body: { enabled: false } }),
  ],
  [
    'a question of the admin pages',
    () =>
      signed('rome', 'api/v4/geo/details', { details_sha256: jsonText(START).sha256, ...FOR_ADMIN }, { body: START }),
  ],
  [
    'a GraphQL operation that is passed on',
    () => signed('rome', 'api/v4/geo/graphql', { graphql_sha256: jsonText(BULK).sha256, ...FOR_ADMIN }, { body: BULK }),
  ],
  [
    'a GraphQL operation for another site',
    () => knock(`api/v4/geo/node_proxy/${paris}/graphql`, { method: 'POST', body: UPDATE() }),
  ],
  ["the host's file", () => knock('widgets/1', { at: host })],
  ...(['POST', 'PUT', 'PATCH', 'DELETE'] as const).map(
    (method) => [`the host's ${method}`, () => knock('widgets', { method, at: host })] as const,
  ),
  ...(['geo_nodes', 'geo_sites'] as const).flatMap((nodes) => [
    [
      `POST ${nodes}`,
      () => knock(`api/v4/${nodes}`, { method: 'POST', body: { name: 'oslo', url: 'http://oslo.test' } }),
    ] as const,
    [
      `PUT ${nodes}`,
      () => knock(`api/v4/${nodes}/${paris}`, { method: 'PUT', body: { files_max_capacity: 3 } }),
    ] as const,
    [`DELETE ${nodes}`, () => knock(`api/v4/${nodes}/${paris}`, { method: 'DELETE' })] as const,
  ]),
  ...Object.entries({ CANCEL: () => CANCEL, BULK: () => BULK, UPDATE }).flatMap(([name, operation]) => [
    [`GraphQL ${name}`, () => knock('api/graphql', { method: 'POST', body: operation() })] as const,
    [
      `GraphQL ${name}, through the proxy`,
      () => knock(`api/v4/geo/node_proxy/${sites.rome.sites.me?.id}/graphql`, { method: 'POST', body: operation() }),
    ] as const,
  ]),
  ...Object.entries<() => readonly [string, Record<string, string>]>({
    'a new site': () => ['/sites', { name: 'oslo', url: 'http://oslo.test' }],
    'a changed site': () => [`/sites/${paris}`, { name: 'lyon', url: 'http://lyon.test' }],
    'a removed site': () => [`/sites/${paris}/remove`, {}],
    'a changed copy': () => [`${list()}/change`, { resync: registryId }],
    'a run': () => [`${list()}/run`, { action: 'resync', only: '' }],
    'failures retried': () => [`${list()}/failures`, { code: 'HTTP_STATUS' }],
    'a cancelled run': () => [`${list()}/runs/1/cancel`, {}],
  }).map(([name, form]) => [`the admin pages: ${name}`, () => sites.send(...form())] as const),
]

/** All that a write could have written. */
async function state() {
  const { main, tracking } = sites.paris.databases
  const tables = ['geo_nodes', 'geo_bulk_runs', 'geo_events', 'geo_node_statuses', 'widgets', 'widget_states']
  return {
    main: await Promise.all(tables.map((table) => main(table))),
    tracking: await Promise.all(['geo_bulk_runs', 'widget_registry'].map((table) => tracking(table))),
  }
}

it.each(DOORS)('A fenced primary refuses %s with STALE_EPOCH, and writes nothing', async (_name, ask) => {
  const before = await state()
  const { status, text } = await ask()
  expect(text).toContain('STALE_EPOCH')
  expect(text.startsWith('{"errors"') || text.startsWith('{"data"') ? 503 : status).toBe(503)
  expect(await state()).toEqual(before)
})

it.each<readonly [string, (geo: Geo) => Promise<unknown>]>([
  ['repair', (geo) => geo.repair()],
  ['repair, dry', (geo) => geo.repair({ dryRun: true })],
  ['verifySample', (geo) => geo.verifySample({ sample: 1 })],
  ['bulk.start', (geo) => geo.bulk.start({ action: 'reverify', type: 'widget' })],
  ['bulk.cancel', (geo) => geo.bulk.cancel('1')],
  ['sites.add', (geo) => geo.sites.add({ name: 'oslo', url: 'http://oslo.test' })],
  ['sites.update', (geo) => geo.sites.update('paris', { filesMaxCapacity: 3 })],
])('A fenced primary refuses its host %s with STALE_EPOCH, and writes nothing', async (_name, ask) => {
  const before = await state()
  await expect(ask(rome)).rejects.toMatchObject({ code: 'STALE_EPOCH' })
  expect(await state()).toEqual(before)
})

it('A fenced primary says to those who look that it is fenced', async () => {
  const id = sites.rome.sites.me?.id
  for (const path of [`api/v4/geo_nodes/${id}/status`, 'api/v4/geo_nodes/status', 'admin/geo/sites']) {
    const { status, text } = await knock(path)
    expect([path, status]).toEqual([path, 200])
    expect(plain(text), path).toContain('STALE_EPOCH')
  }
  expect((await knock(`api/v4/geo_nodes/${id}/status`)).text).toContain('"healthy":false')
  expect(await rome.health()).toMatchObject({ status: 'unhealthy' })
})

// Whoever fences it without having been promoted has the key of a site: see docs/guides/fail-over.md.
it('A fenced primary lets its operator say where another one is, give it another key and take it out', async () => {
  const { update, rotateKey, remove } = rome.sites
  expect(await update('paris', { internalUrl: 'http://paris.test/' })).toMatchObject({ name: 'paris' })
  expect(await rotateKey('paris', { leadSeconds: 0 })).toMatchObject({ name: 'paris' })
  await remove('paris')
  expect((await rome.sites.list()).map(({ name }) => name)).toEqual(['rome'])
})
