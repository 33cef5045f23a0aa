import { tmpdir } from 'node:os'
import { join } from 'node:path'
import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { createGeo, defineReplicable, type Geo, type GeoOptions, localDisk } from '../../lib/index.ts'
import { connect } from '../support/databases.ts'
import { SECONDARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const TIMEOUT_MS = 40_000
const store = localDisk({ root: join(tmpdir(), 'geo-never-made') })
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

describe('a secondary', () => {
  let sites: TwoSites
  /** As the role that a process of the secondary has. */
  let standby: Knex
  let tracking: Knex

  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true }, secondaryMain: 'primary' })
    const { secondaryMain = '', secondaryTracking = '' } = sites.databases.sites ?? {}
    standby = connect(secondaryMain)
    tracking = connect(secondaryTracking)
  })
  afterAll(async () => {
    await Promise.all([standby?.destroy(), tracking?.destroy()])
    await sites?.stop()
  })

  /** A secondary inside this process, stopped whatever becomes of it. */
  async function withGeo<Result>(options: Partial<GeoOptions>, use: (geo: Geo) => Promise<Result>): Promise<Result> {
    const { encryptionKey } = sites
    const common = { siteName: SECONDARY, mainDb: standby, replicables: [], encryptionKey, logger: quiet }
    const geo = createGeo({ ...common, ...options })
    try {
      return await use(geo)
    } finally {
      await geo.stop()
    }
  }

  it('whose main database is writable says so and does not crash', async () => {
    const health = await sites.health(sites.secondary)
    expect(health.status).toBe('unhealthy')
    expect(health.findings).toContainEqual({
      code: 'NOT_IN_RECOVERY',
      message: 'The main database of this secondary is writable: it is not a streaming replica',
      advice: 'Point `mainDb` of this secondary at a streaming replica of the primary database.',
    })
    expect((await sites.health(sites.primary)).findings).toEqual([])
    expect(sites.secondary.isRunning).toBe(true)
    expect(await sites.secondary.stop()).toBe(0)
  })

  it('without a tracking database does not start', async () => {
    await withGeo({}, async (geo) => {
      await expect(geo.start()).rejects.toMatchObject({
        name: 'ConfigurationError',
        code: 'TRACKING_DATABASE_MISSING',
        message: `"${SECONDARY}" is a secondary without trackingDb`,
      })
    })
  })

  it('does not start with a table that its main database lacks', async () => {
    const table = 'wigdets'
    const replicable = defineReplicable({
      name: 'widget',
      table,
      verificationState: 'separate',
      store,
      blob: () => null,
    })
    await withGeo({ trackingDb: tracking, replicables: [replicable] }, async (geo) => {
      await expect(geo.start()).rejects.toMatchObject({
        name: 'ConfigurationError',
        code: 'UNKNOWN_TABLE',
        message: 'The main database has no table "wigdets"',
      })
    })
  })

  it('does not start with a registry that its tracking database lacks', async () => {
    const table = 'widgets'
    const replicable = defineReplicable({ name: 'gizmo', table, verificationState: 'columns', store, blob: () => null })
    await withGeo({ trackingDb: tracking, replicables: [replicable] }, async (geo) => {
      await expect(geo.start()).rejects.toMatchObject({
        code: 'UNKNOWN_TABLE',
        message: 'The tracking database has no table "gizmo_registry"',
      })
    })
  })

  it('starts while its main database is down, and says that it is', async () => {
    const [closedPort] = await findPorts(null)
    const connection = `postgres://app_paris@${HOST}:${closedPort}/nothing`
    const down: Knex = createKnex({ client: 'pg', connection, pool: { min: 0, max: 2 }, log: quiet })
    try {
      await withGeo({ mainDb: down, trackingDb: tracking }, async (geo) => {
        await expect(geo.start()).resolves.toBeUndefined()
        const codes = async () => (await geo.health()).findings.map((finding) => finding.code)
        await until(async () => (await codes()).includes('DATABASE_UNAVAILABLE'), TIMEOUT_MS)
        expect((await geo.health()).status).toBe('unhealthy')
      })
    } finally {
      await down.destroy()
    }
  })
})
