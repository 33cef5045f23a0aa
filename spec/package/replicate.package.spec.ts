import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { ROOT } from '../support/entries.ts'
import { type InstalledHost, installHost } from './installed-host.ts'

const { primaryUrl, standbyUrl, trackingUrl } = inject('databaseServers')

async function optionalPeers(): Promise<string[]> {
  const { peerDependenciesMeta } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  return Object.keys(peerDependenciesMeta)
}

describe.each([
  ['5', 'module', 'host.mjs'],
  ['4', 'commonjs', 'host.cjs'],
] as const)('a host that has installed only Express %s, knex and pg beside the package', (express, type, program) => {
  let host: InstalledHost

  beforeAll(async () => {
    host = await installHost(type, `express@${express}`, 'knex', 'pg')
  })
  afterAll(() => host?.remove())

  it('has none of the optional peers', async () => {
    const installed = await host.installed()
    expect(installed).toEqual(expect.arrayContaining(['express', 'knex', 'pg', 'piscina']))
    expect((await optionalPeers()).filter((peer) => installed.includes(peer))).toEqual([])
  })

  it(`replicates a file, as ${type}`, async () => {
    const name = `geo_packed_express_${express}`
    await createDatabase(primaryUrl, name)
    await createDatabase(trackingUrl, name)
    try {
      const { status, stdout, stderr } = await host.run(process.execPath, [program], {
        MAIN_URL: databaseUrl(primaryUrl, name),
        STANDBY_URL: databaseUrl(standbyUrl, name),
        TRACKING_URL: databaseUrl(trackingUrl, name),
      })
      expect(stderr).toBe('')
      expect(JSON.parse(stdout)).toEqual({ site: 'secondary', served: true, stored: true, refused: 'NOT_PRIMARY' })
      expect(status).toBe(0)
    } finally {
      await Promise.all([primaryUrl, trackingUrl].map((server) => dropDatabase(server, name)))
    }
  })

  it('has the command', async () => {
    expect(await host.run('npx', ['geo', '--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d/),
    })
  })

  it('gets the same classes by import and by require, and is told what GraphQL needs', async () => {
    const same = `import { createRequire } from 'node:module'
      import * as imported from 'express-geo-replication'
      const required = createRequire(import.meta.url)('express-geo-replication')
      const differ = Object.keys(imported).filter((name) => imported[name] !== required[name])
      const graphql = await import('express-geo-replication/graphql').catch((reason) => reason.code)
      console.log(JSON.stringify([differ, Object.keys(required).length > 10, graphql]))`
    const { stdout } = await host.run(process.execPath, ['--input-type=module', '-e', same])
    expect(JSON.parse(stdout)).toEqual([[], true, 'ERR_MODULE_NOT_FOUND'])
  })
})
