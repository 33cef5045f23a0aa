import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { messageOf } from '../lib/errors.ts'
import { settle } from '../lib/testing/settle.ts'
import { geoGraphql } from '../lib/view/graphql/index.ts'
import { ENCRYPTION_KEY } from './support/fixture-rows.ts'
import { commandOf } from './support/in-process-cli.ts'
import { createWatchedSites, type WatchedSites } from './support/watched-sites.ts'

const METRICS_TOKEN = 'scrape-me-0123456789'
/** What the host uses to let people in; the SDK passes it on and must tell nobody. */
const COOKIE = 'session=cookie-of-an-operator'
const JOBS = ['backfill-states', 'verify-primary', 'events', 'reconcile', 'sync', 'remove', 'verify', 'bulk']

let sites: WatchedSites
/** All that anybody could have seen, and where. */
const seen: { where: string; text: string }[] = []

beforeAll(async () => {
  const authorize = () => true
  sites = await createWatchedSites({
    both: { authorize, metrics: { token: METRICS_TOKEN } },
    rome: { graphql: geoGraphql() },
    paris: { graphql: geoGraphql() },
  })
})
afterAll(() => sites?.close())

function secrets(): Record<string, string> {
  const { all } = sites.rome.sites
  return {
    'the encryption key': ENCRYPTION_KEY.toString('hex'),
    'the encryption key in Base64': ENCRYPTION_KEY.toString('base64'),
    'the token of the metrics': METRICS_TOKEN,
    'the cookie of an operator': COOKIE.slice(COOKIE.indexOf('=') + 1),
    ...Object.fromEntries(all.map((site) => [`the secret of ${site.name}`, sites.rome.sites.secretOf(site)])),
    ...Object.fromEntries(all.map((site) => [`the access key of ${site.name}`, site.accessKey])),
    ...Object.fromEntries(
      all.map((site) => [`the encrypted secret of ${site.name}`, site.secret.ciphertext.toString('hex')]),
    ),
  }
}

/** The beginning of what signs a request, whoever signed it. */
const TOKEN = /eyJ[\w-]{10,}\.eyJ/

async function ask(path: string, init: RequestInit = {}): Promise<void> {
  const headers = { cookie: COOKIE, ...(init.headers as Record<string, string>) }
  const response = await fetch(`${sites.url}${path}`, { redirect: 'manual', ...init, headers })
  const text = `${inspect([...response.headers])}\n${await response.text()}`
  seen.push({ where: `${init.method ?? 'GET'} ${path}: ${response.status}`, text })
}

/** Whatever a page links to among ours, as far as it has not been looked at. */
async function walkPages(from: string): Promise<void> {
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

it('No log, error, status, metric, page or answer shows a secret, a key or a token', async () => {
  const { rome, paris } = sites
  await publish('small', randomBytes(1000))
  await publish('large', randomBytes(400_000))
  await publish('missing', null)
  await work()
  await sites.gatherAll()

  // Whoever asks wrongly is told what is wrong, and not what would be right.
  const forged = `GL-Geo ${rome.sites.me?.accessKey}:eyJhbGciOiJIUzI1NiJ9.eyJkYXRhIjoie30ifQ.${'A'.repeat(43)}`
  for (const authorization of [forged, 'GL-Geo x:y', 'Bearer x', `GL-Geo ${rome.sites.me?.accessKey}`]) {
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
  await walkPages('admin/geo/sites')

  // In trouble: the primary is away, then there is another secret under the same name, then one that nobody can read.
  await sites.cut()
  await publish('later', randomBytes(1000))
  await work()
  await report()
  await sites.mend()
  const known = secrets()
  for (const column of ['access_key', 'encrypted_secret_access_key'] as const) {
    const value = column === 'access_key' ? 'an-access-key-that-is-wrong' : randomBytes(48)
    await paris.databases
      .main('geo_nodes')
      .where({ name: 'paris' })
      .update({ [column]: value })
    await paris.databases.caughtUp()
    await paris.assembly.sites.refresh()
    await rome.sites.refresh()
    paris.clock.advance(3_600_000)
    await work()
    await report()
  }
  for (const [name, settings] of [
    ['rome', rome.settings],
    ['paris', paris.assembly.settings],
  ] as const) {
    for (const command of [
      'check',
      'status',
      'status --json',
      'health',
      'site list',
      'site list --json',
      'failures',
      'drift',
    ]) {
      const { stdout, stderr, status } = await commandOf(settings)(...command.split(' '))
      seen.push({ where: `geo ${command} of ${name}: ${status}`, text: stdout + stderr })
    }
  }
  for (const line of paris.logger.lines) {
    seen.push({ where: `the log: ${line.message}`, text: inspect(line, { depth: 10, maxStringLength: null }) })
  }

  const codes = new Set(paris.logger.codes())
  for (const code of ['PRIMARY_UNREACHABLE', 'SECRET_UNDECRYPTABLE', 'UNAUTHORIZED']) expect([...codes]).toContain(code)
  for (const [what, secret] of Object.entries(known)) {
    const shown = seen.filter(({ text }) => text.includes(secret)).map(({ where }) => where)
    expect(shown, what).toEqual([])
  }
  expect(seen.filter(({ text }) => TOKEN.test(text)).map(({ where }) => where)).toEqual([])
})
