import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import express from 'express'
import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { insertSite } from '../../lib/site-table.ts'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { type Cluster, startPrimaryWithStandby } from '../../lib/testing/postgres/cluster.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { settle } from '../../lib/testing/settle.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { readGuide } from '../support/guide.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { migrate } from '../support/migrate.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'

const FAST_SETTINGS = { fsync: 'off', full_page_writes: 'off' }
const TRACKING = ['geo_guide_paris', 'geo_guide_tokyo'] as const

const blocks = await readGuide('fail-over.md')
const [promote, renumber, enable] = blocks.filter(({ language }) => language === 'sql').map(({ text }) => text)
const [look, verify] = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text.trim().split('\n'))

let folder: string
const clusters: Cluster[] = []
const servers: Server[] = []
const opened: Knex[] = []
const running: Assembly[] = []

const open = (url: string): Knex => {
  const knex = createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 5 } })
  // A server that is stopped ends its connections.
  opened.push(knex)
  return knex
}

async function site(name: 'tokyo' | 'paris', mainDb: Knex, trackingDb?: Knex) {
  const replicables = declareReplicables(join(folder, 'blobs', name))
  const parts = assemble(
    parseOptions({
      siteName: name,
      mainDb,
      ...(trackingDb && { trackingDb }),
      replicables: [replicables.widgets],
      features: { isEnabled: () => true },
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      threads: 1,
      logger: recordingLogger(),
    }),
  )
  running.push(parts)
  await parts.sites.refresh()
  return {
    parts,
    async add(key: string, bytes: string | null): Promise<string> {
      if (bytes !== null) await writeFile(join(folder, 'blobs', name, key), bytes)
      return mainDb.transaction(async (trx) => {
        const [row] = await trx('widgets').insert({ name: key, file_path: key }).returning('*')
        await facadeOf(parts).replicator(replicables.widgets).created(row, trx)
        return String(row.id)
      })
    },
  }
}

/** Where a site answers, whichever process of it is put behind. */
async function address(): Promise<{ url: string; serve(parts: Assembly): void }> {
  let parts: Assembly | null = null
  const app = express().use((req, res, next) => (parts ? parts.router(req, res, next) : res.sendStatus(502)))
  const server = createServer(app).listen(0, '127.0.0.1')
  servers.push(server)
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serve(behind) {
      parts = behind
    },
  }
}

async function caughtUp(primary: Knex, standby: Knex): Promise<void> {
  const { rows } = await primary.raw('select pg_current_wal_lsn() as lsn')
  const replayed = 'select pg_last_wal_replay_lsn() >= ?::pg_lsn as done'
  await until(async () => (await standby.raw(replayed, [rows[0].lsn])).rows[0].done)
}

beforeAll(async () => {
  folder = await temporaryFolder('geo-fail-over-')
  for (const name of ['tokyo', 'paris']) await mkdir(join(folder, 'blobs', name), { recursive: true })
  const { trackingUrl } = inject('databaseServers')
  for (const name of TRACKING) {
    await dropDatabase(trackingUrl, name)
    await createDatabase(trackingUrl, name)
    await migrate(databaseUrl(trackingUrl, name), 'tracking')
  }
})
afterAll(async () => {
  for (const parts of running) await parts.stop()
  for (const knex of opened) await knex.destroy()
  for (const server of servers) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  for (const cluster of clusters) await cluster.stop()
  for (const name of TRACKING) await dropDatabase(inject('databaseServers').trackingUrl, name)
  await rm(folder, { recursive: true, force: true })
})

/** What a command says on a site whose processes work meanwhile. */
async function typed(parts: Assembly, line: string): Promise<string> {
  const command = commandOf(parts.settings)(...line.split(' ').slice(2))
  let running = true
  const ended = command.finally(() => {
    running = false
  })
  while (running) await settle(parts)
  const { status, stdout, stderr } = await ended
  expect(status, `${line}: ${stderr}`).toBeLessThan(2)
  return stdout
}

it('A drill: the primary is lost, the secondary takes its place, the old one comes back as a secondary', async () => {
  const before = await startPrimaryWithStandby({ dir: join(folder, 'before'), settings: FAST_SETTINGS })
  clusters.push(before.primary, before.standby)
  await createDatabase(before.primary.url(), 'app')
  await migrate(before.primary.url('app'), 'main')
  const main = open(before.primary.url('app'))
  const replica = open(before.standby.url('app'))
  const trackingOf = (name: string) => open(databaseUrl(inject('databaseServers').trackingUrl, name))
  const [ofTokyo, ofParis] = [await address(), await address()]
  await insertSite(main, ENCRYPTION_KEY, { name: 'tokyo', url: ofTokyo.url, primary: true })
  await insertSite(main, ENCRYPTION_KEY, { name: 'paris', url: ofParis.url })
  await caughtUp(main, replica)

  const tokyo = await site('tokyo', main)
  ofTokyo.serve(tokyo.parts)
  const parisTracking = trackingOf(TRACKING[0])
  const paris = await site('paris', replica, parisTracking)
  const kept = await tokyo.add('kept', 'is on both')
  await settle(tokyo.parts)
  await caughtUp(main, replica)
  await settle(paris.parts)
  for (const line of look ?? []) await typed(paris.parts, line)
  const late = await tokyo.add('late', 'never comes over')
  await settle(tokyo.parts)
  await caughtUp(main, replica)
  const recorded = await main('widget_states').orderBy('widget_id').select('widget_id', 'verification_checksum')

  // Promote: 1 and 2.
  await tokyo.parts.stop()
  await main.destroy()
  await before.primary.stop()
  await paris.parts.stop()
  await replica.raw(String(promote))
  // 3.
  await replica.raw(String(renumber))
  expect(await replica('geo_nodes').orderBy('id').select('name', 'primary', 'enabled')).toEqual([
    { name: 'tokyo', primary: false, enabled: false },
    { name: 'paris', primary: true, enabled: true },
  ])
  // 4.
  const heir = await site('paris', replica)
  expect(heir.parts.sites.role).toBe('primary')
  const fresh = await heir.add('fresh', 'written after')
  await settle(heir.parts)
  const stateOfLate = () => replica('widget_states').where({ widget_id: late }).first('verification_state')
  expect(await stateOfLate()).toEqual({ verification_state: 2 })
  expect(verify).toEqual(['npx geo reverify --all', 'npx geo failures'])
  let said = ''
  for (const line of verify ?? []) said += await typed(heir.parts, line)
  expect(said).toContain('file does not exist at: late')
  expect(await stateOfLate()).toEqual({ verification_state: 3 })
  const states = await replica('widget_states').orderBy('widget_id')
  expect(states.map((row) => String(row.widget_id))).toEqual([kept, late, fresh])
  // Judged by what the old primary has recorded.
  for (const [at, row] of recorded.entries()) {
    expect(states[at].verification_checksum).toEqual(row.verification_checksum)
  }
  await heir.parts.stop()
  await replica.destroy()
  await before.standby.stop()

  // The old one comes back on a copy of the new primary's database.
  await mkdir(join(folder, 'after'))
  await rename(join(folder, 'before/standby'), join(folder, 'after/primary'))
  const after = await startPrimaryWithStandby({ dir: join(folder, 'after'), settings: FAST_SETTINGS })
  clusters.push(after.primary, after.standby)
  const newMain = open(after.primary.url('app'))
  const newReplica = open(after.standby.url('app'))
  const again = await site('paris', newMain)
  ofParis.serve(again.parts)
  await newMain.raw(String(enable))
  await caughtUp(newMain, newReplica)
  const { ino } = await stat(join(folder, 'blobs/tokyo/kept'))
  const returned = await site('tokyo', newReplica, trackingOf(TRACKING[1]))
  expect(returned.parts.sites.role).toBe('secondary')
  await settle(again.parts)
  await caughtUp(newMain, newReplica)
  await settle(returned.parts)
  expect(await readFile(join(folder, 'blobs/tokyo/fresh'), 'utf8')).toBe('written after')
  expect((await stat(join(folder, 'blobs/tokyo/kept'))).ino).toBe(ino)
  const copies = await trackingOf(TRACKING[1])('widget_registry').orderBy('widget_id')
  const verified = copies.filter((row) => row.state === 2 && row.verification_state === 2)
  expect(verified.map((row) => String(row.widget_id))).toEqual([kept, late, fresh])
})
