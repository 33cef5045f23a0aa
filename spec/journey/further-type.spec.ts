import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { GRAPHQL_SUITES, SUITES } from '../../lib/testing/conformance.ts'
import { createDatabase, databaseUrl, dropDatabase, withClient } from '../../lib/testing/postgres/database-server.ts'
import { followBlocks, followRoles, roleBlock, systemBlock, urlAs } from '../support/database-roles.ts'
import { standbyCaughtUp } from '../support/databases.ts'
import { exitOf } from '../support/exit-of.ts'
import { ForkedSite } from '../support/forked-site.ts'
import { type HostFolder, hostFolder } from '../support/host-folder.ts'
import { byHand, HOST_FILES } from '../support/small-host.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What a host with one type does so that a further one is replicated: all of it, in the order in which a person does it. */
describe('a further type', () => {
  const name = `geo_further_${randomBytes(6).toString('hex')}`
  const servers = inject('databaseServers')
  const urls = {
    main: databaseUrl(servers.primaryUrl, name),
    standby: databaseUrl(servers.standbyUrl, name),
    tracking: databaseUrl(servers.trackingUrl, name),
  }
  let host: HostFolder
  let primary: ForkedSite
  let secondary: ForkedSite

  const blobsOf = (site: string): string => join(host.path, site, 'blobs')
  const environmentOf = (site: string, mainUrl: string, port = 0, trackingUrl = urls.tracking) => ({
    SITE_NAME: site,
    MAIN_DATABASE_URL: mainUrl,
    TRACKING_DATABASE_URL: trackingUrl,
    BLOBS_DIR: blobsOf(site),
    GEO_ENCRYPTION_KEY: 'ab'.repeat(32),
    PORT: String(port),
  })

  async function run(program: string, ...args: string[]): Promise<string> {
    const environment = { ...environmentOf('tokyo', urls.main), GEO_TEST_DATABASE_URL: servers.primaryUrl }
    const { status, stdout, stderr } = await exitOf(program, args, { cwd: host.path, ...environment })
    expect(status, `${program} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0)
    return stdout
  }
  const geo = (...args: string[]) => run(process.execPath, join(ROOT, 'lib/cli/geo.ts'), ...args)
  const migrate = async (...environments: string[]): Promise<void> => {
    const knex = join(host.path, 'node_modules/knex/bin/cli.js')
    for (const env of environments) await run(process.execPath, knex, 'migrate:latest', '--env', env)
  }
  /** What the guide grants to the roles of the sites, for gadgets in a schema of their own. */
  async function grantToSites(): Promise<void> {
    const schema = 'grant usage on schema shop to geo_primary, geo_secondary'
    const types = await Promise.all(['separate', 'columns', 'app'].map(roleBlock))
    const inShop = types.map((block) => block.replaceAll(/\bgadgets\b/g, 'shop.gadgets'))
    await followBlocks(urls.main, [await systemBlock(), schema, ...inShop])
  }
  /** As a person would, in an editor; this way what they do can be counted. */
  async function applyByHand(type: 'widget' | 'gadget'): Promise<{ files: number; lines: number }> {
    const diff = byHand(type)
    await writeFile(join(host.path, 'by-hand.diff'), diff)
    await run('git', 'apply', 'by-hand.diff')
    const lines = diff.split('\n')
    return {
      files: lines.filter((line) => line.startsWith('+++ ')).length,
      lines: lines.filter((line) => /^\+(?!\+\+ )/.test(line)).length,
    }
  }

  beforeAll(async () => {
    await createDatabase(servers.primaryUrl, name)
    await createDatabase(servers.trackingUrl, name)
    // Who develops it makes types, schemas and, for its own spec, databases: that needs more than a process of a site may.
    await followRoles(urls.main, 'roles')
    await followRoles(urls.tracking, 'tracking-roles', 'tracking')
    host = await hostFolder(HOST_FILES)
    await geo('generate', 'site-config')
    // Once for all types.
    const config = await host.read('geo.config.ts')
    await host.write('geo.config.ts', config.replace('  replicables,\n', '$&  features: { isEnabled: () => true },\n'))
    await migrate('main')
    await geo('generate', 'type', 'Widget', '--table', 'widgets', '--verification', 'separate', '--yes')
    await applyByHand('widget')
    await migrate('main', 'tracking')
  })
  afterAll(async () => {
    await Promise.all([primary?.stop(), secondary?.stop()])
    await host?.remove()
    await dropDatabase(servers.primaryUrl, name)
    await dropDatabase(servers.trackingUrl, name)
  })

  it('costs at most 15 lines in one file by hand, and is replicated between two sites', async () => {
    const generated = JSON.parse(
      await geo(
        'generate',
        'type',
        'Gadget',
        '--table',
        'shop.gadgets',
        '--verification',
        'columns',
        '--yes',
        '--json',
      ),
    )
    expect(generated).toMatchObject({ differing: [], byHand: null })
    const { files, lines } = await applyByHand('gadget')
    expect(files).toBe(1)
    expect(lines).toBeLessThanOrEqual(15)
    await migrate('main', 'tracking')

    const [primaryPort, secondaryPort] = await findPorts(null)
    await grantToSites()
    const trackingUrl = await urlAs('app_paris', urls.tracking)
    const siteOf = async (site: string, port: number, mainUrl: string): Promise<ForkedSite> =>
      new ForkedSite({
        name: site,
        url: `http://${HOST}:${port}`,
        blobsDir: blobsOf(site),
        program: join(host.path, 'server.ts'),
        environment: environmentOf(site, await urlAs(`app_${site}`, mainUrl), port, trackingUrl),
      })
    primary = await siteOf('tokyo', primaryPort, urls.main)
    secondary = await siteOf('paris', secondaryPort, urls.standby)
    await geo('site', 'add', '--name', 'tokyo', '--url', primary.url, '--primary')
    await geo('site', 'add', '--name', 'paris', '--url', secondary.url)
    await standbyCaughtUp()
    await Promise.all([primary.start(), secondary.start()])

    const send = async (method: string, path: string, body?: string): Promise<Record<string, string>> => {
      const response = await fetch(`${primary.url}${path}`, { method, ...(body !== undefined && { body }) })
      expect(response.status, await response.clone().text()).toBeLessThan(300)
      return response.json() as Promise<Record<string, string>>
    }
    const copies = (type: string) =>
      withClient(urls.tracking, async (client) => {
        const { rows } = await client.query(
          `select ${type}_id::text as id, blob_key as key from ${type}_registry where state = 2 and verification_state = 2`,
        )
        return rows as { id: string; key: string }[]
      })

    const widget = await send('POST', '/widgets', 'a widget')
    const gadget = await send('POST', '/gadgets', 'a gadget')
    await expect.poll(() => copies('widget')).toEqual([{ id: widget['id'], key: widget['file_path'] }])
    await expect.poll(() => copies('gadget')).toEqual([{ id: gadget['code'], key: gadget['file_path'] }])
    expect(await readFile(join(blobsOf('paris'), String(gadget['file_path'])), 'utf8')).toBe('a gadget')

    const changed = await send('PUT', `/gadgets/${gadget['code']}`, 'another gadget')
    await expect.poll(() => copies('gadget')).toEqual([{ id: gadget['code'], key: changed['file_path'] }])
    expect(await readFile(join(blobsOf('paris'), String(changed['file_path'])), 'utf8')).toBe('another gadget')

    await send('DELETE', `/gadgets/${gadget['code']}`)
    await expect.poll(() => copies('gadget')).toEqual([])
  })

  it('passes its own spec of all suites', async () => {
    const output = await run(process.execPath, '--test', 'test/geo/gadget.test.ts')
    for (const suite of [...SUITES, ...GRAPHQL_SUITES]) expect(output).toContain(suite)
    expect(output).toMatch(/pass [1-9]\d+\n/)
    expect(output).toMatch(/fail 0\n/)
  })
})
