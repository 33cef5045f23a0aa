import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { type Cluster, startCluster, startPrimaryWithStandby } from '../../lib/testing/postgres/cluster.ts'
import { type DatabaseGate, gateTo } from '../support/database-gate.ts'
import { migrate } from '../support/migrate.ts'
import { until } from '../support/until.ts'
import { REMEMBER_KEYS } from './checks/named-keys.ts'

// As they come from the box: what is committed is on the disk. Reachable from the networks of the sites.
const SETTINGS = { listen_addresses: '0.0.0.0', max_connections: '300', wal_keep_size: '2GB' }

/** A server that can be stopped and started again at the same place. */
export class Server {
  readonly #settings: Record<string, string>
  #cluster: Cluster

  constructor(cluster: Cluster, settings: Record<string, string>) {
    this.#cluster = cluster
    this.#settings = settings
  }

  get url(): string {
    return this.#cluster.url()
  }

  get dir(): string {
    return this.#cluster.dir
  }

  get port(): number {
    return this.#cluster.port
  }

  stop(): Promise<void> {
    return this.#cluster.stop()
  }

  /** How often it has said this so far, in its log. */
  async complaints(text: string): Promise<number> {
    return (await readFile(`${this.dir}.log`, 'utf8')).split(text).length - 1
  }

  /** Acts while the server has another value of a setting. */
  async during<Result>(name: string, value: string, act: () => Promise<Result>): Promise<Result> {
    await this.set(name, value)
    try {
      return await act()
    } finally {
      await this.set(name, null)
    }
  }

  /** Null: as it was. Whatever the setting is, it must not keep this from being done. */
  async set(name: string, value: string | null): Promise<void> {
    await withClient(this.url, async (client) => {
      await client.query('set statement_timeout = 0')
      await client.query(value === null ? `alter system reset ${name}` : `alter system set ${name} = '${value}'`)
      await client.query('select pg_reload_conf()')
    })
  }

  /** As on a power cut, but for the disk: nothing is shut down. */
  async crash(): Promise<void> {
    const [pid] = (await readFile(join(this.dir, 'postmaster.pid'), 'utf8')).split('\n')
    process.kill(Number(pid), 'SIGKILL')
    // Its children hold the shared memory until they have noticed.
    await this.stop()
    await until(() =>
      rowsOf(this.url, 'select 1').then(
        () => false,
        () => true,
      ),
    )
  }

  /** Another server with the same settings, on data of its own. */
  async beside(dir: string): Promise<Server> {
    return new Server(await startCluster({ dir, settings: this.#settings }), this.#settings)
  }

  /** The other one's data are served from now on where this one's were; the other one itself is no more. */
  async replaceBy(other: Server): Promise<void> {
    await Promise.all([this.stop(), other.stop()])
    const { port } = this.#cluster
    this.#cluster = await startCluster({ dir: other.dir, port, settings: this.#settings })
  }

  async start(settings: Record<string, string> = {}): Promise<void> {
    const { dir, port } = this.#cluster
    this.#cluster = await startCluster({ dir, port, settings: { ...this.#settings, ...settings } })
  }
}

/** The servers of all sites: the primary's, and a streaming replica and a tracking database for each secondary. */
export interface Databases {
  readonly primary: Server
  readonly secondaries: readonly { readonly replica: Server; readonly tracking: Server; readonly line: DatabaseGate }[]
  close(): Promise<void>
}

export async function openDatabases(folder: string): Promise<Databases> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    const settings = { ...SETTINGS, hba_file: await accessFile(folder) }
    const servers = await startPrimaryWithStandby({ dir: join(folder, 'replicated'), settings })
    undo.push(() => servers.primary.stop())
    undo.push(() => servers.standby.stop())
    const primary = new Server(servers.primary, settings)
    undo.push(() => primary.stop())
    // The line between the two servers, which an outage of the network takes with it.
    const line = await gateTo(servers.primary.url())
    await line.open()
    undo.push(() => line.shut())
    await servers.standby.stop()
    const { port } = new URL(line.url)
    const following = {
      ...settings,
      primary_conninfo: `host=127.0.0.1 port=${port} user=postgres`,
      wal_retrieve_retry_interval: '500ms',
    }
    const replica = new Server(servers.standby, following)
    await replica.start()
    undo.push(() => replica.stop())
    const tracking = new Server(await startCluster({ dir: join(folder, 'tracking'), settings }), settings)
    undo.push(() => tracking.stop())
    await Promise.all([migrate(primary.url, 'main'), migrate(tracking.url, 'tracking')])
    await rowsOf(tracking.url, REMEMBER_KEYS)
    return { primary, secondaries: [{ replica, tracking, line }], close }
  } catch (reason) {
    await close()
    throw reason
  }
}

async function accessFile(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o711)
  const path = join(folder, 'access.conf')
  await writeFile(path, ['all', 'replication'].map((database) => `host ${database} all 0.0.0.0/0 trust\n`).join(''), {
    mode: 0o644,
  })
  return path
}

/** What a replica says that ended a query which was in the way of what it replays. */
const IN_THE_WAY = '40001'
const ATTEMPTS = 20

/** Rows of a statement, over a connection of its own. Where a replica ends it for what is to be replayed, it is run again. */
export async function rowsOf<Row>(url: string, statement: string, values: readonly unknown[] = []): Promise<Row[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await rowsOnce<Row>(url, statement, values)
    } catch (reason) {
      if ((reason as { code?: unknown }).code !== IN_THE_WAY || attempt === ATTEMPTS) throw reason
    }
  }
}

async function rowsOnce<Row>(url: string, statement: string, values: readonly unknown[]): Promise<Row[]> {
  return withClient(url, async (client) => (await client.query(statement, [...values])).rows as Row[])
}

/** A connection for several statements. */
export async function withClient<Result>(url: string, act: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url })
  // A server that goes down while it is asked: the query says so.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await act(client)
  } finally {
    await client.end()
  }
}
