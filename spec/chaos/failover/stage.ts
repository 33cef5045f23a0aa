import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import createKnex from 'knex'
import { writeFeatures } from '../../../fixtures/widget-app/features.ts'
import { createGeo } from '../../../lib/index.ts'
import { type Cluster, startCluster, startPrimaryWithStandby } from '../../../lib/testing/postgres/cluster.ts'
import { createDatabase, dropDatabase } from '../../../lib/testing/postgres/database-server.ts'
import { migrate } from '../../support/migrate.ts'
import { until } from '../../support/until.ts'
import { REMEMBER_KEYS } from '../checks/named-keys.ts'
import type { ProcessScene } from '../checks/scene.ts'
import { compile } from '../compiled.ts'
import { rowsOf } from '../databases.ts'
import { History } from '../history.ts'
import { loopback } from '../network.ts'
import { SITES_KNOWN_WITHIN_MS, Site } from '../site.ts'

const PROGRAM = fileURLToPath(new URL('../../../lib/cli/geo.ts', import.meta.url))
const CONFIG = fileURLToPath(new URL('../../../fixtures/widget-app/geo.config.ts', import.meta.url))
export const NAMES = ['tokyo', 'paris', 'osaka'] as const
export type SiteName = (typeof NAMES)[number]
const DATABASE = 'app'
const SETTINGS = { max_connections: '100', wal_keep_size: '2GB', wal_retrieve_retry_interval: '200ms' }
// Below those that the kernel gives to whoever asks for any: a site keeps its own while servers come and go.
const FIRST_PORT = 20_000 + (process.pid % 1000) * 10
const FOLLOWS_WITHIN_MS = 60_000
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024

const run = promisify(execFile)

/** One of the sites: its server, its files, and its processes while they run. */
interface Standing {
  server: Cluster
  readonly blobsDir: string
  readonly port: number
  /** Empty while it is the primary. */
  trackingUrl: string
  site: Site | null
  lives: number
}

export interface Said {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Three sites on servers of their own, any of which may be the primary: what an operator has, and what he does with it. */
export class Stage {
  readonly folder: string
  readonly history: History
  readonly encryptionKey = randomBytes(32).toString('hex')
  readonly adminToken = randomBytes(16).toString('hex')
  /** All that ever ran. */
  readonly #lived: Site[] = []
  readonly #standing = new Map<SiteName, Standing>()
  readonly #ports = new Map<SiteName, number>()
  #tracking: Cluster | null = null

  private constructor(folder: string) {
    this.folder = folder
    this.history = new History(join(folder, 'history.jsonl'))
  }

  static async open(folder: string): Promise<Stage> {
    await mkdir(folder, { recursive: true })
    const stage = new Stage(folder)
    try {
      await stage.#open()
      return stage
    } catch (reason) {
      await stage.close()
      throw reason
    }
  }

  async #open(): Promise<void> {
    for (const name of ['output', 'servers']) await mkdir(join(this.folder, name), { recursive: true })
    await compile(this.folder)
    await writeFeatures(this.#featuresFile, { geo_widget_replication: true, geo_gadget_replication: true })
    for (const [at, name] of NAMES.entries()) this.#ports.set(name, FIRST_PORT + at)
    const dir = join(this.folder, 'servers')
    this.#tracking = await startCluster({ dir: join(dir, 'tracking'), settings: SETTINGS })
    const { primary, standby } = await startPrimaryWithStandby({ dir: join(dir, 'first'), settings: SETTINGS })
    await standby.stop()
    this.#stand('tokyo', primary)
    await createDatabase(primary.url(), DATABASE)
    await migrate(primary.url(DATABASE), 'main')
    await this.#register()
    for (const name of ['paris', 'osaka'] as const) {
      this.#stand(name, await this.#replica(name, primary, standby.dir, 0))
      await this.newTracking(name)
    }
    for (const name of NAMES) await this.start(name)
  }

  get #featuresFile(): string {
    return join(this.folder, 'features.json')
  }

  #stand(name: SiteName, server: Cluster): void {
    const port = this.#portOf(name)
    const blobsDir = join(this.folder, 'sites', name, 'blobs')
    this.#standing.set(name, { server, blobsDir, port, trackingUrl: '', site: null, lives: 0 })
  }

  async #register(): Promise<void> {
    const db = createKnex({ client: 'pg', connection: this.mainUrl('tokyo'), pool: { min: 0, max: 2 } })
    const geo = createGeo({
      siteName: 'tokyo',
      mainDb: db,
      replicables: [],
      encryptionKey: this.encryptionKey,
      work: false,
    })
    try {
      for (const name of NAMES) await geo.sites.add({ name, url: this.url(name), primary: name === 'tokyo' })
    } finally {
      await geo.stop()
      await db.destroy()
    }
  }

  #portOf(name: SiteName): number {
    const port = this.#ports.get(name)
    if (port === undefined) throw new Error(`${name} has no port`)
    return port
  }

  #of(name: SiteName): Standing {
    const standing = this.#standing.get(name)
    if (!standing) throw new Error(`${name} does not stand yet`)
    return standing
  }

  mainUrl(name: SiteName): string {
    return this.#of(name).server.url(DATABASE)
  }

  trackingUrl(name: SiteName): string {
    return this.#of(name).trackingUrl
  }

  blobsDir(name: SiteName): string {
    return this.#of(name).blobsDir
  }

  url(name: SiteName): string {
    return `http://127.0.0.1:${this.#portOf(name)}`
  }

  main<Row>(name: SiteName, statement: string, values: readonly unknown[] = []): Promise<Row[]> {
    return rowsOf<Row>(this.mainUrl(name), statement, values)
  }

  #environment(name: SiteName): Record<string, string> {
    return {
      FEATURES_FILE: this.#featuresFile,
      ENCRYPTION_KEY: this.encryptionKey,
      ADMIN_TOKEN: this.adminToken,
      MAIN_DATABASE_URL: this.mainUrl(name),
      TRACKING_DATABASE_URL: this.#of(name).trackingUrl,
    }
  }

  /** What `geo` says at a site, as its operator types it. */
  async geo(name: SiteName, ...words: string[]): Promise<Said> {
    const own = { SITE_NAME: name, BLOBS_DIR: this.blobsDir(name), HOST: '127.0.0.1', PORT: '0' }
    const env = { ...process.env, ...this.#environment(name), ...own }
    this.history.note({ kind: 'process', process: name, what: `geo ${words.join(' ')}` })
    try {
      const said = await run(process.execPath, [PROGRAM, ...words, '--config', CONFIG], {
        env,
        maxBuffer: MOST_OUTPUT_BYTES,
      })
      return { status: 0, ...said }
    } catch (reason) {
      const { code, stdout = '', stderr = '' } = reason as { code?: unknown; stdout?: string; stderr?: string }
      if (typeof code !== 'number') throw reason
      return { status: code, stdout, stderr }
    }
  }

  /** Starts the processes of a site: one that serves and works, and one that works. */
  async start(name: SiteName): Promise<void> {
    const standing = this.#of(name)
    const site = new Site({
      name,
      folder: this.folder,
      place: loopback().place(name),
      ports: [standing.port],
      workers: 1,
      environment: this.#environment(name),
      history: this.history,
    })
    standing.site = site
    this.#lived.push(site)
    await site.start()
  }

  /** What every process has written, in all its lives, and how these ended. */
  processes(): ProcessScene[] {
    const members = this.#lived.flatMap((site) => site.members)
    return [...Map.groupBy(members, ({ name }) => name)].map(([name, lives]) => ({
      name,
      output: lives[0]?.output ?? '',
      ends: lives.flatMap(({ ends }) => ends),
    }))
  }

  /** When processes of the site were killed, in all its lives. */
  brokenOff(name: SiteName): number[] {
    return this.#lived
      .filter((site) => site.name === name)
      .flatMap(({ members }) => members.flatMap(({ kills }) => kills))
  }

  async stop(name: SiteName): Promise<void> {
    const standing = this.#of(name)
    await standing.site?.stop()
    standing.site = null
  }

  /** Takes its processes and its database away at one moment, without a word. */
  async lose(name: SiteName): Promise<void> {
    const { server, site } = this.#of(name)
    const [pid] = (await readFile(join(server.dir, 'postmaster.pid'), 'utf8')).split('\n')
    const stopping = site?.stop()
    for (const member of site?.members ?? []) member.kill()
    process.kill(Number(pid), 'SIGQUIT')
    await stopping
    await server.stop()
    this.#of(name).site = null
  }

  /** Its processes and then its database, which sends its replicas what they lack before it ends. */
  async rest(name: SiteName): Promise<void> {
    await this.stop(name)
    await this.#of(name).server.stop()
  }

  /** Its database, as it was left. */
  async startDatabase(name: SiteName): Promise<void> {
    const standing = this.#of(name)
    const { dir, port } = standing.server
    standing.server = await startCluster({ dir, port, settings: SETTINGS })
  }

  /** As at World: how many transfers each secondary may have open, said at the primary of the moment. */
  async setCapacity(primary: SiteName, transfers: number): Promise<void> {
    await this.main(primary, 'update geo_nodes set files_max_capacity = $1', [transfers])
    await sleep(SITES_KNOWN_WITHIN_MS)
  }

  /** No replica receives anything any more. */
  async cutOff(name: SiteName): Promise<void> {
    await this.#conninfo(name, '')
    await until(async () => (await this.main(name, 'select 1 from pg_stat_wal_receiver')).length === 0)
  }

  /** The replica of a site follows the server of another. */
  async follow(name: SiteName, whom: SiteName): Promise<void> {
    await this.#conninfo(name, conninfoOf(this.#of(whom).server))
    await this.#streams(name)
  }

  async #conninfo(name: SiteName, conninfo: string): Promise<void> {
    await this.main(name, `alter system set primary_conninfo = '${conninfo}'`)
    await this.main(name, 'select pg_reload_conf()')
  }

  async #streams(name: SiteName): Promise<void> {
    await until(
      async () =>
        (await this.main(name, `select 1 from pg_stat_wal_receiver where status = 'streaming'`).catch(() => []))
          .length > 0,
      FOLLOWS_WITHIN_MS,
      () => `${name} to follow`,
    )
  }

  /** The database of a site becomes a replica of the primary's, made of the folder of another replica, whose server rests for it. */
  async rebuild(name: SiteName, primary: SiteName, from: SiteName): Promise<void> {
    const [standing, model] = [this.#of(name), this.#of(from)]
    await standing.server.stop()
    await model.server.stop()
    const { dir } = model.server
    standing.lives += 1
    standing.server = await this.#replica(name, this.#of(primary).server, dir, standing.lives)
    await this.startDatabase(from)
    await Promise.all([this.#streams(name), this.#streams(from)])
  }

  async #replica(name: SiteName, primary: Cluster, seed: string, life: number): Promise<Cluster> {
    const dir = join(this.folder, 'servers', `${name}-${life}`)
    // With its owner.
    await run('cp', ['-Rp', seed, dir])
    await rm(join(dir, 'postmaster.pid'), { force: true })
    // Where an operator can change it: what is given at the start stays.
    await writeFile(join(dir, 'postgresql.auto.conf'), `primary_conninfo = '${conninfoOf(primary)}'\n`)
    return startCluster({ dir, settings: SETTINGS })
  }

  async newTracking(name: SiteName): Promise<void> {
    const url = this.#trackingServer.url()
    const database = `tracking_${name}`
    await dropDatabase(url, database)
    await createDatabase(url, database)
    const own = this.#trackingServer.url(database)
    await migrate(own, 'tracking')
    await rowsOf(own, REMEMBER_KEYS)
    this.#of(name).trackingUrl = own
  }

  noTracking(name: SiteName): void {
    this.#of(name).trackingUrl = ''
  }

  get #trackingServer(): Cluster {
    if (!this.#tracking) throw new Error('There is no server for the tracking databases')
    return this.#tracking
  }

  async close(): Promise<void> {
    for (const { site } of this.#standing.values()) await site?.stop()
    for (const { server } of this.#standing.values()) await server.stop()
    await this.#tracking?.stop()
    this.history.close()
  }
}

function conninfoOf({ port }: Cluster): string {
  return `host=127.0.0.1 port=${port} user=postgres`
}
