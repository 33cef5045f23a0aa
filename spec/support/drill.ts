import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import express from 'express'
import createKnex, { type Knex } from 'knex'
import { inject } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { type Cluster, startCluster, startPrimaryWithStandby } from '../../lib/testing/postgres/cluster.ts'
import {
  createDatabase,
  databaseUrl,
  dropDatabase,
  TRACKING_TEMPLATE,
  withClient,
} from '../../lib/testing/postgres/database-server.ts'
import { settle } from '../../lib/testing/settle.ts'
import { shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { migrateWithRoles, urlAs } from './database-roles.ts'
import { ENCRYPTION_KEY } from './fixture-rows.ts'
import { commandOf } from './in-process-cli.ts'
import { recordingLogger } from './recording-logger.ts'
import { until } from './until.ts'

const SETTINGS = { fsync: 'off', full_page_writes: 'off', wal_retrieve_retry_interval: '200ms' }
const DATABASE = 'app'
/** No site gathers its status again before. */
const LONGEST_REST_MS = 60_000

/** What ends only once the processes of the sites have done their part. */
const WAITS = /^npx geo (wait|reverify)\b/

/** The processes of one site, while they run. */
export interface DrillSite {
  readonly parts: Assembly
  /** Stores a file and inserts the widget that has it; returns its key. */
  add(key: string, bytes: string): Promise<string>
}

/**
 * Sites with databases on servers of their own, with the roles of docs/guides/database-roles.md, which are lost, promoted and made
 * anew; a site does what the drill tells it to.
 */
export class Drill {
  readonly folder: string
  readonly #id = randomUUID().slice(0, 8)
  readonly #clock = shiftedClock()
  readonly #clusters: Cluster[] = []
  readonly #opened: Knex[] = []
  readonly #running: Assembly[] = []
  readonly #servers: Server[] = []
  readonly #behind = new Map<string, Assembly>()
  readonly #tracking = new Map<string, Knex>()

  private constructor(folder: string) {
    this.folder = folder
  }

  static async begin(): Promise<Drill> {
    return new Drill(await temporaryFolder('geo-drill-'))
  }

  async end(): Promise<void> {
    for (const parts of this.#running) await parts.stop()
    for (const knex of this.#opened) await knex.destroy()
    for (const server of this.#servers) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    for (const cluster of this.#clusters) await cluster.stop()
    for (const name of this.#tracking.keys())
      await dropDatabase(inject('databaseServers').trackingUrl, this.#databaseOf(name))
    await rm(this.folder, { recursive: true, force: true })
  }

  /** A server with the app's database, and the folder of a replica of it that does not run. */
  async startServers(): Promise<{ primary: Cluster; seed: string }> {
    const { primary, standby } = await startPrimaryWithStandby({
      dir: join(this.folder, 'servers'),
      settings: SETTINGS,
    })
    this.#clusters.push(primary, standby)
    await createDatabase(primary.url(), DATABASE)
    await migrateWithRoles(primary.url(DATABASE))
    await standby.stop()
    return { primary, seed: standby.dir }
  }

  /** A replica of `server`, begun with the folder of another one that does not run. */
  async startReplica(name: string, server: Cluster, seed: string): Promise<Cluster> {
    await withClient(server.url(), (client) => client.query('select pg_create_physical_replication_slot($1)', [name]))
    const dir = join(this.folder, 'servers', name)
    // With its owner.
    await promisify(execFile)('cp', ['-Rp', seed, dir])
    // Where an operator can change it: what is given at the start stays.
    const settings = { primary_conninfo: this.conninfo(server), primary_slot_name: name }
    const lines = Object.entries(settings).map(([setting, value]) => `${setting} = '${value}'\n`)
    await writeFile(join(dir, 'postgresql.auto.conf'), lines.join(''))
    const replica = await startCluster({ dir, settings: SETTINGS })
    this.#clusters.push(replica)
    return replica
  }

  conninfo({ port }: Cluster): string {
    return `host=127.0.0.1 port=${port} user=postgres`
  }

  /** The app's database on a server, for an administrator. */
  open(server: Cluster): Knex {
    return this.#connect(server.url(DATABASE))
  }

  /** The same for the processes of a site. */
  async openAs(role: string, server: Cluster): Promise<Knex> {
    return this.#connect(await urlAs(role, server.url(DATABASE)))
  }

  /** A new tracking database, of one site alone. */
  async newTracking(site: string): Promise<Knex> {
    const { trackingUrl } = inject('databaseServers')
    const name = this.#databaseOf(site)
    const url = databaseUrl(trackingUrl, name)
    await dropDatabase(trackingUrl, name)
    await createDatabase(trackingUrl, name, TRACKING_TEMPLATE)
    const knex = this.#connect(await urlAs('app_paris', url))
    this.#tracking.set(site, knex)
    return knex
  }

  trackingOf(site: string): Knex {
    const knex = this.#tracking.get(site)
    if (!knex) throw new Error(`${site} has no tracking database`)
    return knex
  }

  /** Where a site answers, whichever process of it runs. */
  async address(name: string): Promise<string> {
    const app = express().use((req, res, next) => {
      const parts = this.#behind.get(name)
      return parts ? parts.router(req, res, next) : res.sendStatus(502)
    })
    const server = createServer(app).listen(0, '127.0.0.1')
    this.#servers.push(server)
    await new Promise((resolve) => server.once('listening', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  blob(site: string, key: string): string {
    return join(this.folder, 'blobs', site, key)
  }

  /** Starts the processes of a site. */
  async start(name: string, mainDb: Knex, trackingDb?: Knex): Promise<DrillSite> {
    await mkdir(this.blob(name, ''), { recursive: true })
    const { widgets } = declareReplicables(this.blob(name, ''))
    const parts = assemble(
      parseOptions({
        siteName: name,
        mainDb,
        ...(trackingDb && { trackingDb }),
        replicables: [widgets],
        features: { isEnabled: () => true },
        encryptionKey: ENCRYPTION_KEY.toString('hex'),
        threads: 1,
        clock: this.#clock,
        logger: recordingLogger(),
      }),
    )
    this.#running.push(parts)
    this.#behind.set(name, parts)
    await parts.sites.refresh()
    return {
      parts,
      add: async (key, bytes) => {
        await writeFile(this.blob(name, key), bytes)
        return mainDb.transaction(async (trx) => {
          const [row] = await trx('widgets').insert({ name: key, file_path: key }).returning('*')
          await facadeOf(parts).replicator(widgets).created(row, trx)
          return String(row.id)
        })
      },
    }
  }

  async stop({ parts }: DrillSite): Promise<void> {
    const [name] = [...this.#behind].find(([, behind]) => behind === parts) ?? []
    if (name !== undefined) this.#behind.delete(name)
    await parts.stop()
  }

  /** The replica has all that is in the database of `primary`. */
  async caughtUp(primary: Knex, replica: Knex): Promise<void> {
    const { rows } = await primary.raw('select pg_current_wal_lsn() as lsn')
    const replayed = 'select pg_last_wal_replay_lsn() >= ?::pg_lsn as done'
    await until(async () => (await replica.raw(replayed, [rows[0].lsn])).rows[0].done)
  }

  /** So much time that every site gathers its status anew. */
  passTime(): void {
    this.#clock.advance(LONGEST_REST_MS)
  }

  /** What a command says, and how it ends, on the first of the sites, while all of them work where it waits for that. */
  async type(
    line: string,
    sites: readonly [DrillSite, ...DrillSite[]],
    answers?: (question: string) => string,
  ): Promise<{ status: number; stdout: string; stderr: string }> {
    const words = (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"(.*)"$/, '$1'))
    const command = commandOf(sites[0].parts.settings, answers && { answers })(...words.slice(2))
    let running = WAITS.test(line)
    const ended = command.finally(() => {
      running = false
    })
    while (running) for (const { parts } of sites) await settle(parts)
    const { status, stdout, stderr } = await ended
    return { status, stdout, stderr }
  }

  /** Of this drill: others run beside it. */
  #databaseOf(site: string): string {
    return `geo_drill_${this.#id}_${site}`
  }

  #connect(url: string): Knex {
    const knex = createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 5 } })
    this.#opened.push(knex)
    return knex
  }
}
