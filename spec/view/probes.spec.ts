import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createGeo, type Geo } from '../../lib/index.ts'
import { type ShiftedClock, shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { type DatabaseGate, gateTo } from '../support/database-gate.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { until } from '../support/until.ts'

let databases: SpecDatabases
let gate: DatabaseGate
let behind: Knex
let geo: Geo
let server: Server
let url: string
const clock: ShiftedClock = shiftedClock()
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

beforeAll(async () => {
  databases = await createSpecDatabases()
  gate = await gateTo(databases.trackingUrl)
  behind = createKnex({ client: 'pg', connection: gate.url, pool: { min: 0, max: 1 } })
  geo = createGeo({
    siteName: 'paris',
    mainDb: databases.main,
    trackingDb: behind,
    replicables: [],
    encryptionKey: ENCRYPTION_KEY.toString('hex'),
    clock,
    logger: quiet,
    work: false,
    threads: 1,
  })
  server = createServer(express().use('/alone', geo.routers.health).use(geo.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await geo?.stop()
  await behind?.destroy()
  await gate?.shut()
  await databases?.destroy()
})

async function ask(path: string): Promise<{ status: number; body: unknown }> {
  clock.advance(1000)
  const response = await fetch(`${url}${path}`)
  return { status: response.status, body: await response.json() }
}

it('A process is ready once its role is known and its databases answer; it lives all the while', async () => {
  expect(await ask('/readyz')).toEqual({
    status: 503,
    body: { status: 'unavailable', codes: ['SITE_UNKNOWN', 'DATABASE_UNAVAILABLE'] },
  })
  await addSites(databases.main, 'paris')
  expect((await ask('/readyz')).body).toEqual({ status: 'unavailable', codes: ['DATABASE_UNAVAILABLE'] })
  expect(await ask('/healthz')).toEqual({ status: 200, body: { status: 'ok' } })
  await gate.open()
  expect(await ask('/readyz')).toEqual({ status: 200, body: { status: 'ok' } })
  expect(await ask('/alone/readyz')).toEqual({ status: 200, body: { status: 'ok' } })
})

it('A database that hangs makes it unready within seconds', async () => {
  gate.freeze()
  expect(await ask('/readyz')).toEqual({
    status: 503,
    body: { status: 'unavailable', codes: ['DATABASE_UNAVAILABLE'] },
  })
  expect((await ask('/healthz')).status).toBe(200)
  await gate.shut()
  await gate.open()
  // What its pool still has of dead connections goes with the first that try them.
  await until(async () => (await ask('/readyz')).status === 200)
})

it('Strangers who ask often are answered from one look at the databases', async () => {
  let statements = 0
  behind.on('query', () => void statements++)
  const asked = await Promise.all(Array.from({ length: 50 }, () => fetch(`${url}/readyz`)))
  expect(new Set(asked.map(({ status }) => status))).toEqual(new Set([200]))
  expect(statements).toBeLessThanOrEqual(1)
})

it('A process that drains is no longer ready, and lives', async () => {
  await geo.drain({ timeoutMs: 1000 })
  expect(await ask('/readyz')).toEqual({ status: 503, body: { status: 'unavailable', codes: ['STOPPED'] } })
  expect((await ask('/healthz')).status).toBe(200)
})
