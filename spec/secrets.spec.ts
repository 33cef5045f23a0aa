import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import express from 'express'
import createKnex from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { messageOf } from '../lib/errors.ts'
import { type GeoSettings, parseOptions } from '../lib/options.ts'
import { settle } from '../lib/testing/settle.ts'
import { geoGraphql } from '../lib/view/graphql/index.ts'
import { ENCRYPTION_KEY } from './support/fixture-rows.ts'
import { listening } from './support/fuzzed-host.ts'
import { commandOf } from './support/in-process-cli.ts'
import { siteSecrets } from './support/site-secrets.ts'
import { createWatchedSites, type WatchedSites } from './support/watched-sites.ts'

const METRICS_TOKEN = 'scrape-me-0123456789'
/** What the host uses to let people in; the SDK passes it on and must tell nobody. */
const COOKIE = 'session=cookie-of-an-operator'
/** Takes the place of the encryption key. */
const LATER_KEY = randomBytes(32).toString('hex')
const NO_NEXT_KEY = {
  next_access_key: null,
  encrypted_next_secret_access_key: null,
  encrypted_next_secret_access_key_iv: null,
  next_key_from: null,
  old_key_until: null,
}
const JOBS = ['backfill-states', 'verify-primary', 'events', 'reconcile', 'sync', 'remove', 'verify', 'bulk']

let sites: WatchedSites
let served: Awaited<ReturnType<typeof listening>>
/** All that anybody could have seen, and where. */
const seen: { where: string; text: string }[] = []

beforeAll(async () => {
  const authorize = () => true
  sites = await createWatchedSites({
    both: { authorize, metrics: { token: METRICS_TOKEN } },
    rome: { graphql: geoGraphql() },
    paris: { graphql: geoGraphql() },
    asRoles: true,
  })
  const { databases, assembly } = sites.paris
  served = await listening(express().use(assembly.router))
  await databases.main('geo_nodes').where({ name: 'paris' }).update({ url: served.url })
  await databases.caughtUp()
  await Promise.all([assembly.sites.refresh(), sites.rome.sites.refresh()])
})
afterAll(async () => {
  served?.server.closeAllConnections()
  await new Promise((resolve) => served?.server.close(resolve) ?? resolve(null))
  await sites?.close()
})

const secrets = () => ({
  ...siteSecrets(sites),
  'the later encryption key': LATER_KEY,
  'the token of the metrics': METRICS_TOKEN,
  'the cookie of an operator': COOKIE.slice(COOKIE.indexOf('=') + 1),
})

/** The beginning of what signs a request, whoever signed it. */
const TOKEN = /eyJ[\w-]{10,}\.eyJ/

type Ask = (path: string, init?: RequestInit) => Promise<void>

const askAt =
  (url: string): Ask =>
  async (path, init = {}) => {
    const headers = { cookie: COOKIE, ...(init.headers as Record<string, string>) }
    const response = await fetch(`${url}${path}`, { redirect: 'manual', ...init, headers })
    const text = `${inspect([...response.headers])}\n${await response.text()}`
    seen.push({ where: `${init.method ?? 'GET'} ${url}${path}: ${response.status}`, text })
  }

/** Whatever a page links to among ours, as far as it has not been looked at. */
async function walkPages(ask: Ask, from: string): Promise<void> {
  const asked = new Set<string>()
  const open = [from]
  for (let path = open.shift(); path !== undefined && asked.size < 60; path = open.shift()) {
    if (asked.has(path)) continue
    asked.add(path)
    await ask(path)
    const { text } = seen.at(-1) ?? { text: '' }
    for (const [, link = ''] of text.matchAll(/href="\/(admin\/geo[^"#]*)"/g)) open.push(link.replaceAll('&amp;', '&'))
  }
  expect(asked.size).toBeGreaterThan(10)
}

/** The settings of paris where nothing answers at the address of its main database. */
function awayOf(url: string): GeoSettings {
  const address = new URL(url)
  address.port = '1'
  const quiet = { warn: () => undefined, error: () => undefined }
  const mainDb = createKnex({ client: 'pg', connection: address.href, pool: { min: 0, max: 1 }, log: quiet })
  return { ...sites.paris.assembly.settings, mainDb }
}

async function publish(name: string, bytes: Buffer | null): Promise<void> {
  if (bytes) await writeFile(join(sites.root, name), bytes)
  const { databases } = sites.paris
  const [row] = await databases.main('widgets').insert({ name, file_path: name }).returning('id')
  await databases.main('geo_events').insert({
    replicable_name: 'widget',
    event_name: 'created',
    payload: { model_record_id: String(row.id), correlation_id: 'x' },
  })
}

async function work(): Promise<void> {
  await settle(sites.rome, JOBS.slice(0, 2))
  await sites.paris.databases.caughtUp()
  await sites.paris.run('events')
  await settle(sites.paris.assembly, JOBS.slice(2)).catch((reason: unknown) => {
    seen.push({ where: 'an error of the work', text: inspect(reason, { depth: 10 }) })
  })
}

async function report(): Promise<void> {
  await sites.report().catch((reason: unknown) => {
    seen.push({ where: 'an error of the report', text: inspect(reason, { depth: 10 }) + messageOf(reason) })
  })
}

async function askEverything(ask: Ask): Promise<void> {
  // Whoever asks wrongly is told what is wrong, and not what would be right.
  const forged = `GL-Geo ${sites.rome.sites.me?.accessKey}:eyJhbGciOiJIUzI1NiJ9.eyJkYXRhIjoie30ifQ.${'A'.repeat(43)}`
  for (const authorization of [forged, 'GL-Geo x:y', 'Bearer x', `GL-Geo ${sites.rome.sites.me?.accessKey}`]) {
    for (const path of ['api/v4/geo/retrieve/widget/1', 'api/v4/geo/copies/widget/1'])
      await ask(path, { headers: { authorization } })
    for (const path of [
      'api/v4/geo/status',
      'api/v4/geo/details',
      'api/v4/geo/graphql',
      'api/v4/geo/retrieve/widget',
    ]) {
      await ask(path, { method: 'POST', body: '{"', headers: { authorization, 'content-type': 'application/json' } })
    }
  }
  for (const path of ['api/v4/geo_nodes', 'api/v4/geo_nodes/status', 'api/v4/geo_nodes/1', 'api/v4/geo_sites/2/status'])
    await ask(path)
  for (const query of [
    '{ geoNode { id name url primary enabled } }',
    '{ geoNode { accessKey secretAccessKey } }',
    '{ __schema { types { name fields { name } } } }',
  ]) {
    const body = JSON.stringify({ query })
    await ask('api/graphql', { method: 'POST', body, headers: { 'content-type': 'application/json' } })
  }
  await ask('api/v4/geo_sites', {
    method: 'POST',
    body: JSON.stringify({ name: 'oslo', url: 'http://127.0.0.1:1/' }),
    headers: { 'content-type': 'application/json' },
  })
  await ask('metrics', { headers: { authorization: `Bearer ${METRICS_TOKEN}` } })
  await ask('metrics', { headers: { authorization: 'Bearer wrong' } })
  await walkPages(ask, 'admin/geo/sites')
  await ask('readyz')
}

async function command(settings: GeoSettings, line: string): Promise<number | null> {
  const { stdout, stderr, status } = await commandOf(settings)(...line.split(' '))
  seen.push({ where: `geo ${line} of ${settings.siteName}: ${status}`, text: stdout + stderr })
  return status
}

it('No log, error, status, metric, page or answer shows a secret, a key or a token', async () => {
  const { rome, paris } = sites
  await publish('small', randomBytes(1000))
  await publish('large', randomBytes(400_000))
  await publish('missing', null)
  await work()
  await sites.gatherAll()

  for (const url of [sites.url, served.url]) await askEverything(askAt(url))
  // Keys are made, and taken anew.
  const known = secrets()
  expect(await command(rome.settings, 'site rotate-key paris')).toBe(0)
  const [former, later] = [ENCRYPTION_KEY.toString('hex'), LATER_KEY]
  const { siteName, mainDb, logger } = rome.settings
  for (const encryptionKey of [
    [later, former],
    [former, later],
  ]) {
    const settings = parseOptions({ siteName, mainDb, logger, replicables: [], encryptionKey })
    expect(await command(settings, 'site reencrypt')).toBe(0)
  }
  await paris.databases.caughtUp()
  await Promise.all([rome.sites.refresh(), paris.assembly.sites.refresh()])
  const rotated = secrets()
  expect(Object.keys(rotated).length).toBe(Object.keys(known).length + 3)

  // In trouble: the primary is away, then there is another secret under the same name, then one that nobody can read.
  await sites.cut()
  await publish('later', randomBytes(1000))
  await work()
  await report()
  await sites.mend()
  for (const column of ['access_key', 'encrypted_secret_access_key'] as const) {
    const value = column === 'access_key' ? 'an-access-key-that-is-wrong' : randomBytes(48)
    await paris.databases
      .main('geo_nodes')
      .where({ name: 'paris' })
      .update({ ...NO_NEXT_KEY, [column]: value })
    await paris.databases.caughtUp()
    await paris.assembly.sites.refresh()
    await rome.sites.refresh()
    paris.clock.advance(3_600_000)
    await work()
    await report()
  }
  for (const settings of [rome.settings, paris.assembly.settings, awayOf(paris.databases.sites?.secondaryMain ?? '')]) {
    for (const line of [
      'check',
      'status',
      'status --json',
      'health',
      'health --json',
      'site list',
      'site list --json',
      'failures',
      'drift',
      'promote --preflight',
      'promote --preflight --json',
      'demote',
      'demote --json',
    ])
      await command(settings, line)
  }
  for (const line of paris.logger.lines) {
    seen.push({ where: `the log: ${line.message}`, text: inspect(line, { depth: 10, maxStringLength: null }) })
  }

  const codes = new Set(paris.logger.codes())
  for (const code of ['PRIMARY_UNREACHABLE', 'SECRET_UNDECRYPTABLE', 'UNAUTHORIZED']) expect([...codes]).toContain(code)
  const shown = [...Object.entries(known), ...Object.entries(rotated)].flatMap(([what, secret]) =>
    seen.filter(({ text }) => text.includes(secret)).map(({ where }) => `${what}: ${where}`),
  )
  expect(shown).toEqual([])
  expect(seen.filter(({ text }) => TOKEN.test(text)).map(({ where }) => where)).toEqual([])
})
