import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import createKnex, { type Knex } from 'knex'
import type { Databases } from '../../lib/databases.ts'
import { ChecksumPool } from '../../lib/verification/checksum.ts'
import { emptyFolder } from './disk.ts'
import { Lifeline, type Moment, MortalThreads, mortalKnex } from './lifeline.ts'
import { SimClock } from './sim-clock.ts'
import { SimSite } from './site-process.ts'
import { SiteServer } from './site-server.ts'
import { createSketches, declareTypes, type TypeName } from './types.ts'

const ENCRYPTION_KEY = 'ab'.repeat(32)
// What a power cut would lose does not matter, and a lock that is not given must not stop the simulation.
const REVERIFICATION_DAYS = 7
const SESSION = '-c synchronous_commit=off -c lock_timeout=1000'

/** Both sites as they are: processes, databases, folders, threads, network. Opened once, emptied for each sequence. */
export interface World {
  readonly primary: SimSite
  readonly secondary: SimSite
  readonly server: SiteServer
  /** For looking and for what the simulation does behind the sites' backs. */
  readonly main: Knex
  readonly tracking: Knex
  readonly flags: Map<TypeName, boolean>
  /** What happens, once, when the engine gets to that moment. */
  readonly moments: Map<Moment, () => Promise<void>>
  /** A transaction of the host that is still open. */
  held: Knex.Transaction | null
  /** Whether an operator has changed the settings of the secondary. */
  settingsChanged: boolean
  /** Time goes by on both sites and in both databases. */
  pass(seconds: number): Promise<void>
  /** As at the beginning of the sites' life, save that the stores know their site. */
  reset(): Promise<void>
  close(): Promise<void>
}

export async function openWorld(urls: { mainUrl: string; trackingUrl: string }): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'geo-sim-'))
  const mainUrl = withOptions(urls.mainUrl, SESSION)
  const trackingUrl = withOptions(urls.trackingUrl, SESSION)
  const observer = { min: 0, max: 3 }
  const main = createKnex({ client: 'pg', connection: mainUrl, pool: observer })
  const tracking = createKnex({ client: 'pg', connection: trackingUrl, pool: observer })
  await createSketches(main, tracking)

  const moments = new Map<Moment, () => Promise<void>>()
  const reach = async (moment: Moment): Promise<void> => {
    const happening = moments.get(moment)
    moments.delete(moment)
    await happening?.()
  }
  const flags = new Map<TypeName, boolean>()
  const features = { isEnabled: (flag: string) => flags.get(flag.split('_')[1] as TypeName) ?? true }
  const server = new SiteServer(reach)
  const servers = { tokyo: server, paris: new SiteServer(async () => undefined) }
  const url = await server.listen()

  const lives = { primary: new Lifeline(), secondary: new Lifeline() }
  const pools = [
    mortalKnex(mainUrl, lives.primary),
    mortalKnex(withOptions(urls.mainUrl, `${SESSION} -c default_transaction_read_only=on`), lives.secondary, {
      onlyReads: true,
    }),
    mortalKnex(trackingUrl, lives.secondary),
  ] as const
  const [primaryMain, replica, ownTracking] = pools
  const threads = {
    primary: new MortalThreads(lives.primary, reach),
    secondary: new MortalThreads(lives.secondary, reach),
  }
  const checksums = new SharedChecksums(reach)

  const siteOf = async (which: 'primary' | 'secondary', name: string, mainDb: Knex, trackingDb: Knex | null) => {
    const root = join(folder, name)
    await mkdir(root)
    const databases: Databases = {
      main: mainDb,
      tracking: trackingDb,
      mainHeartbeat: mainDb,
      trackingHeartbeat: trackingDb,
      close: async () => undefined,
    }
    return new SimSite({
      name,
      root,
      types: declareTypes(root, () => reach('remove')),
      clock: new SimClock(),
      lifeline: lives[which],
      resources: { databases, transferThreads: threads[which], checksums },
      options: { mainDb, ...(trackingDb && { trackingDb }), features, encryptionKey: ENCRYPTION_KEY, work: false },
    })
  }
  const primary = await siteOf('primary', 'tokyo', primaryMain, null)
  const secondary = await siteOf('secondary', 'paris', replica, ownTracking)
  await primary.geo.sites.add({ name: 'tokyo', url, primary: true })
  await primary.geo.sites.add({ name: 'paris', url: await servers.paris.listen() })
  await primary.geo.sites.update('tokyo', { minimumReverificationIntervalDays: REVERIFICATION_DAYS })

  const clearing = await Promise.all([main, tracking].map(clearingOf))
  const passing = await Promise.all([main, tracking].map(passingOf))
  const both = async (statements: readonly string[]): Promise<void> => {
    await Promise.all([main.raw(statements[0] ?? ''), tracking.raw(statements[1] ?? '')])
  }

  const world: World = {
    primary,
    secondary,
    server,
    main,
    tracking,
    flags,
    moments,
    held: null,
    settingsChanged: false,
    async pass(seconds) {
      for (const site of [primary, secondary]) site.clock.advance(seconds * 1000)
      await both(passing.map((sql) => sql.replaceAll('$1', String(seconds))))
    },
    async reset() {
      await world.held?.rollback()
      world.held = null
      moments.clear()
      flags.clear()
      server.failOnce(null)
      server.asked.length = 0
      await whileDeadlocked(() => both(clearing))
      for (const site of [primary, secondary]) {
        site.lifeline.revive()
        site.clock.setWall(0)
        // A copy of the sites' settings that is older than this is not believed.
        site.clock.advance(60_000)
        emptyFolder(site.root)
      }
      await primary.begin()
      if (world.settingsChanged) await primary.geo.sites.update('paris', { enabled: true, selectiveSync: null })
      world.settingsChanged = false
      await secondary.begin()
      for (const site of [primary, secondary]) {
        servers[site.name as keyof typeof servers].serveBy(
          express().use((request, response, next) => site.geo.router(request, response, next)),
        )
      }
    },
    async close() {
      await world.held?.rollback()
      await Promise.all([servers.tokyo.close(), servers.paris.close()])
      await Promise.all([threads.primary.closeForGood(), threads.secondary.closeForGood(), checksums.closeForGood()])
      await Promise.all([...pools, main, tracking].map((pool) => pool.destroy()))
      await rm(folder, { recursive: true, force: true })
    },
  }
  return world
}

/** Checksum threads that outlive each process of the simulation. */
class SharedChecksums extends ChecksumPool {
  readonly #reach: (moment: Moment) => Promise<void>

  constructor(reach: (moment: Moment) => Promise<void>) {
    super(1)
    this.#reach = reach
  }

  override async checksumSome(tasks: Parameters<ChecksumPool['checksumSome']>[0]) {
    await this.#reach('hash')
    const results = await super.checksumSome(tasks)
    await this.#reach('hashed')
    return results
  }

  override async close(): Promise<void> {
    await Promise.resolve()
  }

  async closeForGood(): Promise<void> {
    await super.close()
  }
}

function withOptions(url: string, options: string): string {
  const changed = new URL(url)
  changed.searchParams.set('options', options)
  return changed.href
}

const KEPT_TABLES = ['geo_nodes', 'geo_stores']

async function tablesOf(db: Knex): Promise<string[]> {
  const { rows } = await db.raw(
    `select tablename as name from pg_tables where schemaname = 'public' and tablename !~ 'migrations' order by 1`,
  )
  return rows.map((row: { name: string }) => row.name).filter((name: string) => !KEPT_TABLES.includes(name))
}

/**
 * Empties every table at once. Deleting is faster than truncating where there are a few rows. What a dead process has begun ends
 * by itself; on a busy machine that takes longer than a lock is waited for elsewhere.
 */
async function clearingOf(db: Knex): Promise<string> {
  const tables = await tablesOf(db)
  return `set local lock_timeout = '60s'; ${tables.map((name) => `delete from "${name}";`).join(' ')}`
}

const DEADLOCK_DETECTED = '40P01'

/** Where what a dead process has begun stands in the way, PostgreSQL ends one of the two: it may be us. */
async function whileDeadlocked(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (reason) {
    if ((reason as { code?: unknown }).code !== DEADLOCK_DETECTED) throw reason
    await whileDeadlocked(work)
  }
}

/** One statement that puts every moment in the database so many seconds ($1) further into the past. */
async function passingOf(db: Knex): Promise<string> {
  const { rows } = await db.raw(
    `select table_name as "table", array_agg(column_name::text) as columns from information_schema.columns
     where table_schema = 'public' and data_type = 'timestamp with time zone' group by table_name`,
  )
  const tables = new Set(await tablesOf(db))
  return rows
    .filter(({ table }: { table: string }) => tables.has(table))
    .map(({ table, columns }: { table: string; columns: string[] }) => {
      const moved = columns.map((column) => `"${column}" = "${column}" - interval '$1 seconds'`)
      return `update "${table}" set ${moved.join(', ')};`
    })
    .join(' ')
}
