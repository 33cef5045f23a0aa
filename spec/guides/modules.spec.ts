import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import express, { type Express } from 'express'
import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import type { Geo, GeoOptions, QueryingTransaction, Replicable } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { beginReadOnly, endReadOnly } from '../../lib/read-only-mode.ts'
import { withClient } from '../../lib/testing/postgres/database-server.ts'
import { step } from '../../lib/testing/settle.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { exitOf } from '../support/exit-of.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { readGuide } from '../support/guide.ts'
import { type HostFolder, hostFolder } from '../support/host-folder.ts'

// That they compile is asked in types.spec.ts. Here is what a compiler does not see.

interface Migration {
  up(knex: Knex): Promise<void>
  down(knex: Knex): Promise<void>
}

const migration = (up: string): string => `import * as geo from 'express-geo-replication'
import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  ${up}
}

export async function down(): Promise<void> {}
`

/** The host that the guides take for known, without what they show. */
const hostFiles = (mainUrl: string): Readonly<Record<string, string>> => ({
  'package.json': '{"type":"module"}',
  'knexfile.js': `import { migrationFolders } from 'express-geo-replication'

const environment = (name) => ({
  client: 'pg',
  migrations: { directory: [migrationFolders[name], \`migrations/\${name}\`], sortDirsSeparately: true, loadExtensions: ['.ts'] },
})

export default { main: environment('main'), tracking: environment('tracking') }
`,
  'migrations/main/1_create_videos.ts': migration(
    "await knex.raw('create table videos (id bigserial primary key, file_path text, owner text not null)')",
  ),
  'migrations/main/2_create_video_states.ts': migration(
    "await geo.createVerificationStateTable(knex, 'video', { table: 'videos' })",
  ),
  'migrations/tracking/1_create_video_registry.ts': migration("await geo.createRegistryTable(knex, 'video')"),
  'geo.options.ts': `import createKnex from 'knex'
import { videos } from './geo/video.ts'

export const options = {
  siteName: 'rome',
  mainDb: createKnex({ client: 'pg', connection: '${mainUrl}' }),
  replicables: [videos],
  features: { isEnabled: () => true },
  encryptionKey: '${ENCRYPTION_KEY.toString('hex')}',
  threads: 1,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
}
`,
  'app.ts': `import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import express, { type Request } from 'express'
import { createGeo } from 'express-geo-replication'
import { options } from './geo.options.ts'
import { videos } from './geo/video.ts'

export const app = express()
export const db = options.mainDb
export const geo = createGeo(options)
export async function storeFile(request: Request): Promise<string> {
  const key = randomUUID()
  await mkdir(videos.store.root, { recursive: true })
  await pipeline(request, createWriteStream(join(videos.store.root, key)))
  return key
}
`,
  'session.ts': `import type { Request } from 'express'

export function sessionOf(request: Request) {
  const role = request.get('x-role')
  return role ? { role, email: \`\${role}@example\` } : null
}
`,
})

/** The one block of TypeScript of a guide that has these words. */
async function block(guide: string, words: string): Promise<string> {
  const found = (await readGuide(guide)).filter(({ language, text }) => language === 'ts' && text.includes(words))
  expect(found).toHaveLength(1)
  return found[0]?.text ?? ''
}

let databases: SpecDatabases
let main: Knex
let host: HostFolder
const servers: Server[] = []
const geos: Geo[] = []

async function load<T>(file: string): Promise<T> {
  const module = await import(/* @vite-ignore */ pathToFileURL(join(host.path, file)).href)
  if (module.geo) geos.push(module.geo)
  return module
}

async function listen(handler: Express): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1')
  servers.push(server)
  await new Promise((resolve) => server.once('listening', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What has been told since the last look. */
async function told(): Promise<string[]> {
  const events = await main('geo_events').orderBy('id')
  await main('geo_events').delete()
  return events.map((event) => `${event.event_name}${event.by_trigger ? ' by trigger' : ''}`)
}

beforeAll(async () => {
  databases = await createSpecDatabases()
  main = databases.main
  await addSites(main, 'paris')
  host = await hostFolder(hostFiles(databases.mainUrl))
  const written = {
    'geo/video.ts': (await block('add-a-type.md', "name: 'video'")).replace('/srv/videos', join(host.path, 'videos')),
    'routes.ts': await block('add-a-type.md', "app.post('/videos'"),
    // A process goes on with its client; here all is to end.
    'with-pg.ts': `${await block('add-a-type.md', 'new pg.Client()')}await client.end()\n`,
    'with-prisma.ts': await block('add-a-type.md', 'ofPrisma'),
    'migrations/main/3_create_video_triggers.ts': await block('add-a-type.md', 'createEventTriggers(knex'),
    'test/video.spec.ts': await block('add-a-type.md', "from 'node:test'"),
    'read-only.ts': await block('fail-over.md', 'geo.readOnly()'),
    'pages.ts': await block('monitor.md', 'authorize:'),
    'metrics.ts': await block('monitor.md', 'SCRAPE_TOKEN'),
    'scope.ts': await block('selective-sync.md', 'scope('),
    'shut-down.ts': await block('several-processes.md', 'geo.drain'),
  }
  for (const [file, text] of Object.entries(written)) await host.write(file, text)
  for (const name of ['1_create_videos', '2_create_video_states']) {
    await (await load<Migration>(`migrations/main/${name}.ts`)).up(main)
  }
})
afterEach(() => void vi.unstubAllEnvs())
afterAll(async () => {
  for (const geo of geos) await geo.stop()
  for (const server of servers) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  const { options } = await load<{ options: { mainDb: Knex } }>('geo.options.ts')
  await options.mainDb.destroy()
  await host.remove()
  await databases.destroy()
})

describe('The modules that the guides show', () => {
  let videos: string
  let primary: Assembly
  beforeAll(async () => {
    const { app } = await load<{ app: Express }>('app.ts')
    await load('read-only.ts')
    await load('routes.ts')
    videos = `${await listen(app)}/videos`
    const { options } = await load<{ options: GeoOptions }>('geo.options.ts')
    // What works beside the app.
    primary = assemble(parseOptions(options))
    await primary.sites.refresh()
  })
  afterAll(() => primary.stop())

  const add = async (): Promise<{ status: number; id: string; file_path: string }> => {
    const answer = await fetch(videos, { method: 'POST', body: 'a film' })
    return { status: answer.status, ...(answer.ok && (await answer.json())) }
  }

  it('tell of what is written, serve its file and remove it', async () => {
    const { status, id, file_path } = await add()
    expect([status, await told()]).toEqual([201, ['created']])
    expect(await (await fetch(`${videos}/${id}/file`)).text()).toBe('a film')
    const remove = () => fetch(`${videos}/${id}`, { method: 'DELETE' })
    expect([(await remove()).status, (await remove()).status, await told()]).toEqual([204, 404, ['deleted']])
    await expect(readFile(join(host.path, 'videos', file_path))).rejects.toThrow('ENOENT')
  })

  it('tell of it in a transaction of pg, and of Prisma', async () => {
    const { hostname, port, pathname } = new URL(databases.mainUrl)
    const variables = { PGHOST: hostname, PGPORT: port, PGUSER: 'postgres', PGDATABASE: pathname.slice(1) }
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value)
    await load('with-pg.ts')
    expect(await told()).toEqual(['created'])
    const { ofPrisma } = await load<{
      ofPrisma(trx: { $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number> }): QueryingTransaction
    }>('with-prisma.ts')
    const { geo } = await load<{ geo: Geo }>('app.ts')
    const { videos: type } = await load<{ videos: Replicable<never> }>('geo/video.ts')
    await withClient(databases.mainUrl, async (client) => {
      const trx = ofPrisma({
        $executeRawUnsafe: async (text, ...values) => (await client.query(text, values)).rowCount ?? 0,
      })
      const { rows } = await client.query("insert into videos (file_path, owner) values ('b', 'me') returning *")
      await geo.replicator(type).created(rows[0] as never, trx)
    })
    expect(await told()).toEqual(['created'])
  })

  it('have triggers that tell of what others write, and nothing twice', async () => {
    const { up, down } = await load<Migration>('migrations/main/3_create_video_triggers.ts')
    await up(main)
    await step(primary, 'switches')
    await main('videos').insert({ file_path: 'c', owner: 'somebody with psql' })
    await main('videos').where({ file_path: 'c' }).update({ owner: 'somebody else' })
    expect(await told()).toEqual(['created by trigger'])
    // The app calls too.
    await add()
    expect(await told()).toEqual(['created by trigger'])
    await down(main)
    await main('videos').insert({ file_path: 'd', owner: 'somebody with psql' })
    expect(await told()).toEqual([])
  })

  it('turn writes away before a planned fail over, and let sites talk', async () => {
    await beginReadOnly(main, null)
    await primary.sites.refresh()
    const { geo } = await load<{ geo: Geo }>('app.ts')
    await geo.health()
    const { status } = await add()
    const read = await fetch(`${videos}/1/file`)
    const asked = await fetch(new URL('/api/v4/geo/status', videos), { method: 'POST' })
    expect([status, read.status, asked.status]).toEqual([503, 404, 401])
    await endReadOnly(main)
    await Promise.all([primary.sites.refresh(), geo.health()])
    expect((await add()).status).toBe(201)
  })

  it('open the pages to whom they say, and keep who changed what', async () => {
    const { geo } = await load<{ geo: Geo }>('pages.ts')
    const url = await listen(express().use(geo.router))
    const { id } = await geo.sites.add({ name: 'lisbon', url: 'http://lisbon.test' })
    const ask = async (role: string | null, path: string, method = 'GET') => {
      const headers = { origin: url, ...(role && { 'x-role': role }) }
      return (await fetch(`${url}/admin/geo/sites${path}`, { method, headers, redirect: 'manual' })).status
    }
    const roles = [null, 'clerk', 'admin']
    const looks = await Promise.all(roles.map((role) => ask(role, '')))
    const changes: number[] = []
    for (const role of roles) changes.push(await ask(role, `/${id}/remove`, 'POST'))
    expect({ looks, changes }).toEqual({ looks: [403, 200, 200], changes: [403, 403, 303] })
    expect(await main('geo_audit_events').select('operator')).toEqual([{ operator: 'admin@example' }])
  })

  it('open the metrics to whoever has the token', async () => {
    vi.stubEnv('SCRAPE_TOKEN', 'nobody-guesses-this-token')
    const { geo } = await load<{ geo: Geo }>('metrics.ts')
    const url = `${await listen(express().use(geo.router))}/metrics`
    const told = await fetch(url, { headers: { authorization: 'Bearer nobody-guesses-this-token' } })
    expect([(await fetch(url)).status, told.status]).toEqual([403, 200])
  })

  it('select the rows of a part', async () => {
    const { photos } = await load<{ photos: Replicable<never> }>('scope.ts')
    const of = (selection: object) =>
      String(photos.scope?.(main('photos'), { type: null, namespaceIds: [], shards: [], ...selection } as never))
    expect(of({})).toBe('select * from "photos"')
    expect(of({ type: 'namespaces', namespaceIds: ['7'] })).toBe(`select * from "photos" where "customer_id" in ('7')`)
    expect(of({ type: 'shards', shards: ['a'] })).toBe(`select * from "photos" where "disk" in ('a')`)
  })

  it('test the type on two sites', async () => {
    const { status, stdout } = await exitOf(process.execPath, ['--test', '--test-reporter=tap', 'test/video.spec.ts'], {
      cwd: host.path,
      GEO_TEST_DATABASE_URL: inject('databaseServers').primaryUrl,
    })
    expect(status, stdout).toBe(0)
    expect(stdout).toMatch(/^# pass 1$/m)
  })

  it('shut a process down', async () => {
    const { shutDown } = await load<{ shutDown(server: Server): Promise<void> }>('shut-down.ts')
    const [server] = servers.splice(0, 1)
    await shutDown(server as Server)
    const { geo } = await load<{ geo: Geo }>('app.ts')
    await expect(geo.status()).rejects.toMatchObject({ code: 'STOPPED' })
    await expect(fetch(videos)).rejects.toThrow()
  })
})
