import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import type { Knex } from 'knex'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../lib/assembly.ts'
import { facadeOf } from '../lib/facade.ts'
import { firstLaterPromotions, tellEpoch } from '../lib/failover/tell-epoch.ts'
import { assemble } from '../lib/geo.ts'
import { createEventTriggers } from '../lib/index.ts'
import { parseOptions } from '../lib/options.ts'
import { insertSite } from '../lib/site-table.ts'
import { step } from '../lib/testing/settle.ts'
import { shiftedClock } from '../lib/testing/shifted-clock.ts'
import { signAsMe, signRequest, type TokenScope } from '../lib/transfer/token.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { ENCRYPTION_KEY } from './support/fixture-rows.ts'
import { recordingLogger } from './support/recording-logger.ts'

/** `rome` on the database from before a promotion, and `paris`, which is the primary of epoch 1, on what became of its replica. */
let before: SpecDatabases
let after: SpecDatabases
let folder: string
let rome: Assembly
let paris: Assembly
const clock = shiftedClock()
const servers: Server[] = []

const { widgets } = declareReplicables('unused')

function site(siteName: string, mainDb: Knex): Assembly {
  return assemble(
    parseOptions({
      siteName,
      mainDb,
      replicables: [declareReplicables(join(folder, siteName)).widgets],
      features: { isEnabled: () => true },
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      threads: 1,
      clock,
      logger: recordingLogger(),
    }),
  )
}

async function serve(of: () => Assembly): Promise<string> {
  const geo = () => facadeOf(of())
  const app = express()
    .use((request, response, next) => geo().router(request, response, next))
    .get('/widgets/:id/file', (request, response, next) => geo().serve(widgets)(request, response, next))
    .use((request, response, next) => geo().readOnly()(request, response, next))
    .post('/widgets', (_request, response) => void response.sendStatus(201))
  return listen(app)
}

async function listen(app: express.Express): Promise<string> {
  const server = createServer(app).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

let urls: { rome: string; paris: string }

beforeEach(async () => {
  ;[before, after] = await Promise.all([createSpecDatabases(), createSpecDatabases()])
  folder = await mkdtemp(join(tmpdir(), 'geo-epoch-'))
  urls = { rome: await serve(() => rome), paris: await serve(() => paris) }
  await insertSite(before.main, ENCRYPTION_KEY, { name: 'rome', url: urls.rome, primary: true })
  await insertSite(before.main, ENCRYPTION_KEY, { name: 'paris', url: urls.paris })
  await insertSite(before.main, ENCRYPTION_KEY, { name: 'oslo', url: 'http://127.0.0.1:1' })
  await after.main('geo_nodes').insert(await before.main('geo_nodes').orderBy('id'))
  await after.main('geo_nodes').where({ name: 'rome' }).update({ primary: false, enabled: false })
  await after.main('geo_nodes').where({ name: 'paris' }).update({ primary: true, epoch: 1 })
  rome = site('rome', before.main)
  paris = site('paris', after.main)
  await Promise.all([rome.sites.refresh(), paris.sites.refresh()])
})
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
  await Promise.all([rome.stop(), paris.stop()])
  await Promise.all([before.destroy(), after.destroy()])
  await rm(folder, { recursive: true, force: true })
})

const ONE: TokenScope = { replicable_name: 'widget', replicable_id: '1' }

/** What a door answers to a request that a site signs, as one of an epoch. */
async function ask(url: string, path: string, as: string, epoch: number, scope: TokenScope = ONE, method = 'GET') {
  const { sites } = rome
  const signer = sites.byName(as)
  if (!signer) throw new Error(`There is no ${as}`)
  const key = sites.signingKeyOf(signer)
  const authorization = await signRequest(key, sites.secretOf(key), scope, clock, epoch)
  const response = await fetch(`${url}${path}`, { method, headers: { authorization } })
  const { code } = (await response.json()) as { code?: string }
  return { status: response.status, code }
}

const RETRIEVE = '/api/v4/geo/retrieve/widget/1'
const stale = { status: 503, code: 'STALE_EPOCH' }

const insertWidget = (assembly: Assembly, db: Knex) =>
  db.transaction(async (trx) => {
    const [row] = await trx('widgets').insert({ name: 'w', file_path: 'w' }).returning('*')
    await facadeOf(assembly).replicator(widgets).created(row, trx)
  })

async function isFenced(): Promise<boolean> {
  const row = await before.main('geo_nodes').where({ name: 'rome' }).first('fenced_by_epoch')
  return row.fenced_by_epoch !== null
}

describe('A primary that hears of a later epoch', () => {
  // Every other door: spec/epoch-doors.spec.ts.
  it('serves nothing any more, and says why', async () => {
    expect(await ask(urls.rome, RETRIEVE, 'paris', 0)).toMatchObject({ status: 404 })
    expect(await ask(urls.rome, RETRIEVE, 'paris', 1)).toEqual(stale)
    expect(await isFenced()).toBe(true)
    // Also of those that have not heard of it.
    expect(await ask(urls.rome, RETRIEVE, 'oslo', 0)).toEqual(stale)
    expect(await ask(urls.rome, '/api/v4/geo/status', 'oslo', 0, { scope: 'geo_api' }, 'POST')).toEqual(stale)
    for (const [path, method] of [
      ['/widgets/1/file', 'GET'],
      ['/widgets', 'POST'],
    ] as const) {
      const response = await fetch(`${urls.rome}${path}`, { method })
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([503, 'STALE_EPOCH'])
    }
    const health = await facadeOf(rome).health()
    expect(health).toMatchObject({
      status: 'unhealthy',
      findings: expect.arrayContaining([
        {
          code: 'STALE_EPOCH',
          advice: expect.any(String),
          message: 'The site "rome" is of epoch 0, and another one has become the primary in epoch 1',
        },
      ]),
    })
    await expect(facadeOf(rome).repair()).rejects.toMatchObject({ code: 'STALE_EPOCH' })
  })

  it('takes no write of the host, in whichever of its processes, nor a verdict of its own', async () => {
    const another = site('rome', before.main)
    await another.sites.refresh()
    await insertWidget(another, before.main)
    await ask(urls.rome, RETRIEVE, 'paris', 1)
    // Its look at the sites is from before.
    expect(another.sites.role).toBe('primary')
    await expect(insertWidget(another, before.main)).rejects.toMatchObject({ code: 'STALE_EPOCH' })
    await expect(step(another, 'verify-primary')).resolves.toBeDefined()
    expect(await before.main('geo_events').where({ event_name: 'checksum_succeeded' })).toEqual([])
    expect(await before.main('widgets').select('id')).toHaveLength(1)
    await another.sites.refresh()
    expect(another.sites.role).toBe('unknown')
    await another.stop()
  })

  it('has its triggers refuse what programs write without it', async () => {
    const triggers = { table: 'widgets', columns: ['file_path'], verificationState: 'separate' } as const
    await createEventTriggers(before.main, 'widget', triggers)
    await before.main('geo_switches').insert({ replicable_name: 'widget', enabled: true })
    const insert = () => before.main.raw(`insert into widgets (name, file_path) values ('w', 'w')`)
    await insert()
    await ask(urls.rome, RETRIEVE, 'paris', 1)
    await expect(insert()).rejects.toThrow('another one has become the primary in epoch 1')
  })

  it('hears of it by asking others, and believes only what the asked one has signed', async () => {
    const telling = { sites: rome.sites, threads: rome.repairContext.threads, clock }
    const real = paris
    // Something else answers at the address of paris, with what oslo signs.
    const { access_key, encrypted_secret_access_key, encrypted_secret_access_key_iv } = await after
      .main('geo_nodes')
      .where({ name: 'oslo' })
      .first()
    await after.main('geo_nodes').where({ name: 'oslo' }).delete()
    await after
      .main('geo_nodes')
      .where({ name: 'paris' })
      .update({ access_key, encrypted_secret_access_key, encrypted_secret_access_key_iv })
    const forger = site('paris', after.main)
    paris = forger
    const [oslo, unbelieved] = await tellEpoch(telling)
    expect([oslo, unbelieved]).toEqual([
      {
        site: 'oslo',
        epoch: null,
        problem: { code: 'SITE_UNREACHABLE', message: expect.stringMatching(/^The site "oslo"/) },
      },
      {
        site: 'paris',
        epoch: null,
        problem: { code: 'INVALID_RESPONSE', message: expect.stringContaining('is not signed by it') },
      },
    ])
    expect(rome.sites.role).toBe('primary')
    await forger.stop()
    paris = real
    expect(await step(rome, 'epoch')).toBe(false)
    expect(rome.sites.fencedBy).toBe(1)
    expect(await isFenced()).toBe(true)
  })

  it('takes for silent whoever tells of transactions that cannot be', async () => {
    const telling = { sites: rome.sites, threads: rome.repairContext.threads, clock }
    const promotion = { epoch: 1, siteName: 'paris', formerSiteName: 'rome', replayedAt: null, sealed: false }
    const promotions = [
      {
        ...promotion,
        promotedAt: '2026-01-01T00:00:00.000Z',
        arrivedBelow: '18446744073709551616',
        arrivedXactIds: [],
      },
    ]
    const word = JSON.stringify({ site: 'paris', epoch: 1, promotions })
    const scope = { word_sha256: createHash('sha256').update(word).digest('hex') }
    const liar = express().post('/api/v4/geo/epoch', async (_request, response) => {
      response.json({ word, authorization: await signAsMe(paris.sites, scope, clock) })
    })
    const url = `${await listen(liar)}/`
    await before.main('geo_nodes').where({ name: 'paris' }).update({ internal_url: url })
    await rome.sites.refresh()
    await expect(firstLaterPromotions(telling)).rejects.toMatchObject({
      code: 'SITE_UNREACHABLE',
      message: expect.stringContaining('cannot be read'),
    })
  })

  it('says that its database does not answer while it does not', async () => {
    await rome.databases.main.destroy()
    const answered = await ask(urls.rome, '/api/v4/geo/epoch?promotions=true', 'paris', 0, { scope: 'geo_api' }, 'POST')
    expect(answered).toEqual({ status: 503, code: 'DATABASE_UNAVAILABLE' })
  })

  it('forgets no event that nobody has read before it has asked', async () => {
    await before.main('geo_nodes').where({ name: 'oslo' }).delete()
    await insertWidget(rome, before.main)
    await before.main('geo_events').update({ created_at: '2020-01-01' })
    const real = urls.paris
    await before.main('geo_nodes').where({ name: 'paris' }).update({ internal_url: 'http://127.0.0.1:1/' })
    await rome.sites.refresh()
    const events = () => before.main('geo_events').select('event_name')
    await step(rome, 'prune-events')
    expect(await events()).toHaveLength(1)
    await before
      .main('geo_nodes')
      .where({ name: 'paris' })
      .update({ internal_url: `${real}/` })
    await rome.sites.refresh()
    await step(rome, 'prune-events')
    expect(await events()).toHaveLength(1)
    expect(rome.sites.fencedBy).toBe(1)
  })

  it('hears of it from the new one, which tells all', async () => {
    await step(paris, 'epoch')
    expect(rome.sites.fencedBy).toBe(1)
    expect(paris.sites.role).toBe('primary')
  })

  it('is not fenced for ever by a number that somebody makes up', async () => {
    expect(await ask(urls.rome, RETRIEVE, 'oslo', 2 ** 31 - 1)).toMatchObject({ status: 401 })
    expect(await ask(urls.rome, RETRIEVE, 'oslo', 101_000)).toMatchObject({ status: 401 })
    expect(await isFenced()).toBe(false)
    // What is believed leaves room for a later one, also after many such.
    expect(await ask(urls.rome, RETRIEVE, 'oslo', 100_999)).toEqual(stale)
    expect(await isFenced()).toBe(true)
    expect(await ask(urls.rome, RETRIEVE, 'oslo', 101_000)).toMatchObject({ status: 401 })
  })

  it('is not fenced by whom it does not know, nor by an epoch that is not later', async () => {
    const key = { accessKey: 'stranger', secret: { ciphertext: Buffer.alloc(0), iv: Buffer.alloc(0) } }
    const authorization = await signRequest(key, 'secret', ONE, clock, 7)
    const response = await fetch(`${urls.rome}${RETRIEVE}`, { headers: { authorization } })
    expect(response.status).toBe(401)
    expect(await ask(urls.rome, RETRIEVE, 'paris', 0)).toMatchObject({ status: 404 })
    expect(await isFenced()).toBe(false)
    expect(rome.sites.role).toBe('primary')
  })
})

describe('A site of a later epoch', () => {
  it('refuses whoever knows of an earlier one only', async () => {
    expect(await ask(urls.paris, RETRIEVE, 'oslo', 0)).toEqual(stale)
    expect(await ask(urls.paris, RETRIEVE, 'oslo', 1)).toMatchObject({ status: 404 })
  })

  it('takes no event from a process of the former primary that has come upon its database', async () => {
    const lost = site('rome', after.main)
    await before.main('geo_nodes').select()
    // As it was when that process looked last.
    await after.main('geo_nodes').where({ name: 'paris' }).update({ primary: false, epoch: 0 })
    await after.main('geo_nodes').where({ name: 'rome' }).update({ primary: true, enabled: true })
    await lost.sites.refresh()
    await after.main('geo_nodes').where({ name: 'rome' }).update({ primary: false, enabled: false })
    await after.main('geo_nodes').where({ name: 'paris' }).update({ primary: true, epoch: 1 })
    await expect(insertWidget(lost, after.main)).rejects.toMatchObject({
      code: 'STALE_EPOCH',
      message: 'The site "rome" writes as the primary of epoch 0; this is the database of "paris", of epoch 1',
    })
    expect(await after.main('widgets').select('id')).toEqual([])
    await lost.stop()
  })
})
