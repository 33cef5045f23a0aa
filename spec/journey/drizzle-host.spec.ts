import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eq, sql } from 'drizzle-orm'
import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { ofDrizzle } from '../../fixtures/drizzle-app/drizzle-transaction.ts'
import knexfile from '../../fixtures/drizzle-app/knexfile.js'
import { type Photo, photoTable } from '../../fixtures/drizzle-app/schema.ts'
import { openSite, type Site } from '../../fixtures/drizzle-app/site.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { followBlocks, followRoles, roleBlock, systemBlock, urlAs } from '../support/database-roles.ts'
import { standbyCaughtUp } from '../support/databases.ts'

const name = `geo_drizzle_${randomBytes(6).toString('hex')}`
const servers = inject('databaseServers')
/** What the app itself does, besides what the SDK does for a type whose state is in a table of its own. */
const APP = `grant select, insert, update, delete on photos to app_tokyo;
grant usage on sequence photos_id_seq to app_tokyo;
grant select on photos to app_paris;`

let folder: string
let main: Knex
let tracking: Knex
let primary: Site
let secondary: Site

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-drizzle-'))
  await createDatabase(servers.primaryUrl, name)
  await createDatabase(servers.trackingUrl, name)
  // Its owner migrates, and a process of a site may do what the guide grants to its role.
  const ofMain = databaseUrl(servers.primaryUrl, name)
  const ofTracking = databaseUrl(servers.trackingUrl, name)
  const [mainOwner, trackingOwner] = [await urlAs('app_owner', ofMain), await urlAs('app_owner', ofTracking)]
  await followRoles(ofMain, 'roles')
  await followRoles(ofTracking, 'tracking-roles')
  await followRoles(trackingOwner, 'tracking')
  main = createKnex({ ...knexfile.main, connection: mainOwner })
  tracking = createKnex({ ...knexfile.tracking, connection: trackingOwner })
  await Promise.all([main.migrate.latest(), tracking.migrate.latest()])
  const separate = (await roleBlock('separate'))
    .replaceAll('widgets', 'photos')
    .replaceAll('widget_states', 'photo_states')
  await followBlocks(mainOwner, [await systemBlock(), separate, APP])

  const open = async (siteName: string, mainUrl: string, trackingUrl?: string): Promise<Site> =>
    openSite({
      siteName,
      mainUrl: await urlAs(`app_${siteName}`, databaseUrl(mainUrl, name)),
      trackingUrl: trackingUrl && (await urlAs(`app_${siteName}`, databaseUrl(trackingUrl, name))),
      blobsDir: join(folder, siteName),
      encryptionKey: 'ab'.repeat(32),
      port: 0,
    })
  primary = await open('tokyo', servers.primaryUrl)
  secondary = await open('paris', servers.standbyUrl, servers.trackingUrl)
  await primary.geo.sites.add({ name: 'tokyo', url: primary.url, primary: true })
  await primary.geo.sites.add({ name: 'paris', url: secondary.url })
  await primary.geo.start()
  // Its start looks for the tables, which were made on the primary a moment ago.
  await standbyCaughtUp()
  await secondary.geo.start()
})
afterAll(async () => {
  await secondary?.close()
  await primary?.close()
  await Promise.all([main?.destroy(), tracking?.destroy()])
  await dropDatabase(servers.primaryUrl, name)
  await dropDatabase(servers.trackingUrl, name)
  await rm(folder, { recursive: true, force: true })
})

const send = async (method: string, path: string, body?: string): Promise<Response> =>
  fetch(`${primary.url}/photos${path}`, { method, ...(body !== undefined && { body }) })
const verified = async (): Promise<{ id: string; key: string }[]> =>
  tracking('photo_registry').where({ state: 2, verification_state: 2 }).select({ id: 'photo_id', key: 'blob_key' })
/** Keys of what lies in the store of a site. */
const stored = async (site: 'tokyo' | 'paris'): Promise<string[]> =>
  (await readdir(join(folder, site))).filter((name) => !name.startsWith('.geo-'))
/** What the host has written, and what it has told of it. */
const written = async (): Promise<{ rows: number; events: number }> => {
  const told = main('geo_events').whereIn('event_name', ['created', 'updated', 'deleted'])
  const [rows, events] = await Promise.all([main('photos'), told])
  return { rows: rows.length, events: events.length }
}

describe('a host that writes with Drizzle', () => {
  it('has its files on the secondary verified, replaced and removed', async () => {
    const photo = (await (await send('POST', '?name=sea', 'the sea')).json()) as Photo
    await expect.poll(verified).toEqual([{ id: String(photo.id), key: photo.file_path }])
    expect(await readFile(join(folder, 'paris', photo.file_path), 'utf8')).toBe('the sea')

    const replaced = (await (await send('PUT', `/${photo.id}/file`, 'the sea again')).json()) as Photo
    await expect.poll(verified).toEqual([{ id: String(photo.id), key: replaced.file_path }])
    const served = await fetch(`${secondary.url}/photos/${photo.id}/file`)
    expect(await served.text()).toBe('the sea again')
    expect(await stored('tokyo')).toEqual([replaced.file_path])
    await expect.poll(() => stored('paris')).toEqual([replaced.file_path])

    expect((await send('DELETE', `/${photo.id}`)).status).toBe(204)
    await expect.poll(() => tracking('photo_registry')).toEqual([])
    expect([await stored('tokyo'), await stored('paris')]).toEqual([[], []])
    expect((await fetch(`${secondary.url}/photos`, { method: 'POST', body: 'no' })).status).toBe(409)
  })

  it('leaves neither row nor event where its transaction is rolled back', async () => {
    const before = await written()
    const ended = primary.db.transaction(async (tx) => {
      const [row] = await tx.insert(photoTable).values({ name: 'never', file_path: 'never' }).returning()
      await primary.geo.replicator(primary.photos).created(row as Photo, ofDrizzle(tx))
      tx.rollback()
    })
    await expect(ended).rejects.toThrow('Rollback')
    expect(await written()).toEqual(before)
  })

  it('loses its own write where the event cannot be written', async () => {
    const before = await written()
    await main.raw("alter table geo_events add constraint broken check (event_name <> 'created') not valid")
    try {
      expect((await send('POST', '?name=lost', 'lost')).status).toBe(500)
    } finally {
      await main.raw('alter table geo_events drop constraint broken')
    }
    expect(await written()).toEqual(before)
  })

  it('has every value bound, whatever it holds', async () => {
    const values = ["it's $1 'quoted'", ['{a}', 'b,"c"']]
    await primary.db.transaction(async (tx) => {
      await tx.execute(sql`create temp table bound (one text, many text[]) on commit drop`)
      await ofDrizzle(tx).query('insert into bound select $1::text, $2::text[] where $1::text is not null', values)
      const { rows } = await tx.execute(sql`select one, many from bound`)
      expect(rows).toEqual([{ one: values[0], many: values[1] }])
    })
    expect(await primary.db.select().from(photoTable).where(eq(photoTable.name, 'never'))).toEqual([])
  })
})
