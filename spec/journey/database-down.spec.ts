import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import createKnex, { type Knex } from 'knex'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { createGeo, type Geo } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { type DatabaseGate, gateTo } from '../support/database-gate.ts'
import { connect } from '../support/databases.ts'
import { addRegistryRow, ENCRYPTION_KEY, registryRow, untyped } from '../support/fixture-rows.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { type RecordingLogger, recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'

const TIMEOUT_MS = 40_000

interface Host {
  readonly geo: Geo
  readonly url: string
  readonly logger: RecordingLogger
  readonly gate: DatabaseGate
  close(): Promise<void>
}

let primary: PrimarySite
let root: string
const hosts: Host[] = []

beforeAll(async () => {
  primary = await createPrimarySite({ asRole: true })
  root = await mkdtemp(join(tmpdir(), 'geo-down-'))
})
afterEach(() => Promise.all(hosts.splice(0).map((host) => host.close())))
afterAll(async () => {
  await primary?.close()
  await rm(root, { recursive: true, force: true })
})

/** A host of paris with a route of its own. The way to one of its databases is shut at first. */
async function openHost(gated: 'main' | 'tracking'): Promise<Host> {
  const { secondaryMain = '', secondaryTracking = '' } = primary.databases.sites ?? {}
  const gate = await gateTo(gated === 'main' ? secondaryMain : secondaryTracking)
  const quiet = { warn: () => undefined, error: () => undefined }
  const behind: Knex = createKnex({ client: 'pg', connection: gate.url, pool: { min: 0, max: 2 }, log: quiet })
  const other = connect(gated === 'main' ? secondaryTracking : secondaryMain)
  const { widgets } = declareReplicables(root)
  const logger = recordingLogger()
  const geo = createGeo({
    siteName: 'paris',
    mainDb: gated === 'main' ? behind : other,
    trackingDb: gated === 'tracking' ? behind : other,
    replicables: [widgets],
    features: { isEnabled: () => true },
    encryptionKey: ENCRYPTION_KEY.toString('hex'),
    threads: 1,
    logger,
  })
  const app = express()
  app.get('/own', (_request, response) => void response.send('the host answers'))
  app.use(geo.router)
  const server: Server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host: Host = {
    geo,
    logger,
    gate,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await geo.stop()
      await Promise.all([behind.destroy(), other.destroy()])
      await gate.shut()
    },
  }
  hosts.push(host)
  return host
}

const codesOf = async (geo: Geo) => (await geo.health()).findings.map(({ code }) => code)

async function addWaiting(): Promise<string> {
  const id = await primary.addWidget('a/b', 'bytes')
  await primary.databases.caughtUp()
  await addRegistryRow(primary.databases.tracking, untyped(primary.replicables.widgets), id)
  return id
}
const stateOf = async (id: string) =>
  (await registryRow(primary.databases.tracking, untyped(primary.replicables.widgets), id))?.['state']

describe.each(['main', 'tracking'] as const)('Started while the %s database is down, a host', (gated) => {
  it('boots and answers, health says why, and work begins when it is back', { timeout: 180_000 }, async () => {
    const printed = vi.spyOn(console, 'log')
    const id = await addWaiting()
    const { geo, url, gate, logger } = await openHost(gated)
    await expect(geo.start()).resolves.toBeUndefined()
    expect(await (await fetch(`${url}/own`)).text()).toBe('the host answers')
    expect(await codesOf(geo)).toContain('DATABASE_UNAVAILABLE')
    expect((await geo.health()).status).toBe('unhealthy')
    expect(await stateOf(id)).toBe(SYNC_STATE.pending)

    await gate.open()
    await until(async () => (await stateOf(id)) === SYNC_STATE.synced, TIMEOUT_MS)
    await until(async () => !(await codesOf(geo)).includes('DATABASE_UNAVAILABLE'), TIMEOUT_MS)
    expect(logger.codes()).toContain('DATABASE_UNAVAILABLE')
    // Nor does Knex print what the logger is told.
    expect(printed.mock.calls).toEqual([])
    printed.mockRestore()
  })
})

it('A stop ends in seconds also while a database hangs', { timeout: 180_000 }, async () => {
  const { geo, gate } = await openHost('tracking')
  await gate.open()
  await geo.start()
  const id = await addWaiting()
  await until(async () => (await stateOf(id)) === SYNC_STATE.synced, TIMEOUT_MS)
  gate.freeze()
  const startedAtMs = performance.now()
  await geo.stop()
  expect(performance.now() - startedAtMs).toBeLessThan(15_000)
})
