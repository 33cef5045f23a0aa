import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Account, ownFolder, postgresAccount } from './account.ts'
import { type Binaries, takeBinaries } from './binaries.ts'
import { Postmaster, SERVER_ENVIRONMENT } from './postmaster.ts'

const run = promisify(execFile)
const HOST = '127.0.0.1'
const PORT_ATTEMPTS = 5
const STREAMING_TIMEOUT_MS = 60_000
const STREAMING_POLL_MS = 20

const DEFAULT_SETTINGS = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  wal_level: 'replica',
  hot_standby: 'on',
  max_connections: '200',
  max_wal_senders: '10',
  shared_buffers: '64MB',
}

export interface Cluster {
  readonly dir: string
  readonly port: number
  url(database?: string): string
  /** Resolves when its processes are gone and the port is closed. Calling it again is fine. */
  stop(): Promise<void>
}

export interface ClusterOptions {
  /** The data folder, made where it is missing; one that an earlier cluster left is used as it is. The log is `<dir>.log`. */
  dir: string
  port?: number
  /** Server settings by name, as in postgresql.conf. */
  settings?: Record<string, string>
}

/** A real PostgreSQL server on 127.0.0.1, for specs, demo and benches. It ends with this process, however that ends. */
export async function startCluster({ dir, port, settings = {} }: ClusterOptions): Promise<Cluster> {
  const account = await postgresAccount()
  const { binaries, release } = await takeBinaries(account)
  try {
    await createDataFolder(account, binaries, dir)
    return await start(account, dir, port, settings)
  } finally {
    await release()
  }
}

/** A primary in `<dir>/primary` and a streaming hot standby of it in `<dir>/standby`, which answers reads. */
export async function startPrimaryWithStandby({
  dir,
  settings = {},
}: Omit<ClusterOptions, 'port'>): Promise<{ primary: Cluster; standby: Cluster }> {
  const account = await postgresAccount()
  const folders = { primary: join(dir, 'primary'), standby: join(dir, 'standby') }
  const { binaries, release } = await takeBinaries(account)
  try {
    await createDataFolder(account, binaries, folders.primary)
    await createStandbyFolder(account, folders)
    const primary = await start(account, folders.primary, undefined, settings)
    try {
      return { primary, standby: await startStandby(account, folders.standby, primary, settings) }
    } catch (error) {
      await primary.stop()
      throw error
    }
  } finally {
    await release()
  }
}

async function createDataFolder(account: Account | null, { initdb }: Binaries, dir: string): Promise<void> {
  if (await exists(join(dir, 'PG_VERSION'))) return
  await ownFolder(account, dir)
  const identity = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C']
  await run(initdb, ['-D', dir, '--no-sync', ...identity], { ...account, cwd: dir, env: SERVER_ENVIRONMENT })
}

async function createStandbyFolder(
  account: Account | null,
  { primary, standby }: { primary: string; standby: string },
): Promise<void> {
  if (await exists(join(standby, 'standby.signal'))) return
  await ownFolder(account, standby)
  // Copied while nothing runs on it, so the copy needs no backup protocol.
  await run('cp', ['-Rp', `${primary}/.`, standby], { ...account, cwd: '/' })
  await run('touch', [join(standby, 'standby.signal')], { ...account, cwd: '/' })
}

async function startStandby(
  account: Account | null,
  dir: string,
  primary: Cluster,
  settings: Record<string, string>,
): Promise<Cluster> {
  const standby = await start(account, dir, undefined, {
    ...settings,
    primary_conninfo: `host=${HOST} port=${primary.port} user=postgres`,
    wal_retrieve_retry_interval: '200ms',
  })
  try {
    await streaming(standby)
    return standby
  } catch (error) {
    await standby.stop()
    throw error
  }
}

async function start(
  account: Account | null,
  dir: string,
  wantedPort: number | undefined,
  settings: Record<string, string>,
): Promise<Cluster> {
  const { binaries, release } = await takeBinaries(account)
  const logPath = `${dir}.log`
  for (let attempt = 1; ; attempt += 1) {
    const port = wantedPort ?? (await freePort())
    try {
      const postmaster = await Postmaster.start({
        binary: binaries.postgres,
        account,
        dir,
        logPath,
        settings: { ...DEFAULT_SETTINGS, ...settings, port: String(port) },
      })
      let stopping: Promise<void> | null = null
      const stop = (): Promise<void> => {
        stopping ??= postmaster.stop().then(release)
        return stopping
      }
      return { dir, port, stop, url: (database = 'postgres') => `postgres://postgres@${HOST}:${port}/${database}` }
    } catch (error) {
      const taken = error instanceof Error && error.message.includes('Address already in use')
      if (taken && wantedPort === undefined && attempt < PORT_ATTEMPTS) continue
      await release()
      throw error
    }
  }
}

/** Free a moment ago: the server itself finds out whether it still is. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, HOST)
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

/** Accepting connections is not enough: it must follow its primary. */
async function streaming(standby: Cluster): Promise<void> {
  const client = new pg.Client({ connectionString: standby.url() })
  const deadline = performance.now() + STREAMING_TIMEOUT_MS
  try {
    await client.connect()
    while (performance.now() < deadline) {
      const { rows } = await client.query(
        "select pg_is_in_recovery() and exists (select from pg_stat_wal_receiver where status = 'streaming') as ok",
      )
      if (rows[0]?.ok) return
      await sleep(STREAMING_POLL_MS)
    }
  } finally {
    await client.end()
  }
  throw new Error(`The standby did not follow its primary within ${STREAMING_TIMEOUT_MS} ms. See ${standby.dir}.log`)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
