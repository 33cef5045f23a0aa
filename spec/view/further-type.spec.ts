import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import { addVerificationColumns, defineReplicable, localDisk } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { insertSite } from '../../lib/site-table.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { dashboardExpressions } from '../support/docs/dashboard.ts'
import { DOCUMENTS } from '../support/docs/documents.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { recordingLogger } from '../support/recording-logger.ts'

const root = mkdtempSync(join(tmpdir(), 'geo-further-'))

/** All that a host adds to have another type, beside its migrations. */
const gizmos = defineReplicable<{ file_path: string }>({
  name: 'gizmo',
  table: 'gizmos',
  verificationState: 'columns',
  store: localDisk({ root }),
  blob: (row) => row.file_path,
  released: '1.0.0',
})
const { widgets, gadgets } = declareReplicables(root)
const replicables = [widgets, gadgets, gizmos]

let databases: SpecDatabases
let site: Assembly
let server: Server
let url: string

beforeAll(async () => {
  databases = await createSpecDatabases()
  const { main } = databases
  await main.schema.createTable('gizmos', (table) => {
    table.bigIncrements('id')
    table.text('file_path')
  })
  await addVerificationColumns(main, 'gizmo', { table: 'gizmos' })
  await main('gizmos').insert({ file_path: 'a' })
  const { id } = await insertSite(main, ENCRYPTION_KEY, { name: 'rome', url: 'http://rome.test', primary: true })
  site = assemble(
    parseOptions({
      siteName: 'rome',
      mainDb: main,
      replicables,
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      authorize: () => true,
      metrics: {},
      logger: recordingLogger(),
      work: false,
      threads: 1,
    }),
  )
  await site.sites.refresh()
  await site.viewing.gathering.gather()
  server = createServer(express().use(site.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  path = `/api/v4/geo_sites/${id}/status`
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await site?.stop()
  await databases?.destroy()
  await rm(root, { recursive: true, force: true })
})

let path: string
const get = async (address: string): Promise<Response> => fetch(`${url}${address}`)
const ofType = (named: object) => Object.keys(named).filter((name) => name.startsWith('gizmos_'))

/** The twelve fields, as the status has them. */
async function fields(): Promise<string[]> {
  const status = (await (await get(path)).json()) as { gizmos_count: number; progress: object }
  expect(status.progress).toHaveProperty('gizmos')
  expect(status.gizmos_count).toBe(1)
  expect(ofType(status)).toHaveLength(12)
  return ofType(status)
}

/** Its gauges, as a scrape tells them. */
async function gauges(): Promise<string[]> {
  const text = await (await get('/metrics')).text()
  expect(text).toContain('geo_gizmos{name="rome",url="rome"} 1\n')
  const named = [...text.matchAll(/^# TYPE (geo_gizmos\w*) gauge$/gm)].map(([, name]) => String(name))
  expect(named.length).toBeGreaterThan(10)
  return named
}

describe('A further type shows up with nothing but its declaration', () => {
  it('in the status of the site and in its schema', async () => {
    const schema = (await (await get('/api/v4/geo_sites/status.schema.json')).json()) as { properties: object }
    expect(ofType(schema.properties)).toEqual(await fields())
  })

  it('in the OpenAPI document', async () => {
    const { components } = (await (await get('/api/v4/geo/openapi.json')).json()) as {
      components: { schemas: Record<string, { properties: object }> }
    }
    for (const name of ['GeoNodeStatus', 'GeoSiteStatus'])
      expect(ofType(components.schemas[name]?.properties ?? {})).toEqual(await fields())
  })

  it('in the metrics', async () => {
    const ofFields = (await fields())
      .filter((name) => !name.endsWith('_percentage'))
      .map((name) => `geo_${name.replace(/_count$/, '')}`)
    expect(await gauges()).toEqual(expect.arrayContaining(ofFields))
  })

  it('in every document that names types', async () => {
    const page = async (name: string) => String(await DOCUMENTS[name]?.(replicables))
    const status = await page('status.md')
    for (const field of await fields()) expect(status).toContain(`\`${field}\``)
    const metrics = await page('metrics.md')
    for (const gauge of await gauges()) expect(metrics).toContain(`\`${gauge}\``)
    expect(await page('rest.md')).toContain('`gizmos_*`')
    // All others are the same for every host: they know types by a pattern at the most.
    for (const [name, write] of Object.entries(DOCUMENTS))
      expect([name, String(await write(replicables)).includes('gizmo')]).toEqual([
        name,
        ['graphql.md', 'metrics.md', 'rest.md', 'schema.graphql', 'status.md'].includes(name),
      ])
  })

  it('in the dashboard and the alert rules, which find its gauges by the pattern of their names', async () => {
    const named = await gauges()
    const patterns = [...dashboardExpressions(), await DOCUMENTS['alerts.yaml']?.(replicables)].flatMap((expr) =>
      [...String(expr).matchAll(/__name__=~\\?"(geo_.+?)\\?"/g)].map(([, pattern]) => String(pattern)),
    )
    expect(patterns.length).toBeGreaterThan(10)
    for (const pattern of patterns) {
      const matches = named.map((name) => new RegExp(`^${pattern.replace('.+', '(.+)')}$`).exec(name)?.[1])
      expect([pattern, matches]).toEqual([pattern, expect.arrayContaining(['gizmos'])])
    }
  })
})
