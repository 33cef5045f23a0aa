import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import type { Knex } from 'knex'
import type { Assembly } from '../assembly.ts'
import { localDisk } from '../blob/local-disk.ts'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import type { WorkSource } from '../dispatcher.ts'
import { facadeOf, type Geo } from '../facade.ts'
import { assemble } from '../geo.ts'
import type { GeoOptions } from '../options.ts'
import { parseOptions } from '../options.ts'
import { type Factories, factoriesFor, type InsertRow } from './factories.ts'
import { type KeptLog, keptLog } from './kept-log.ts'
import { step } from './settle.ts'

export interface BenchOptions {
  /** The host's declaration. Its own store is never touched: each site of the bench has a folder instead. */
  readonly replicable: Replicable<never>
  /** A database with all migrations of the host run and no sites. It is emptied of what concerns the type. */
  readonly mainDb: Knex
  /** A streaming replica of it. Default: `mainDb` itself. */
  readonly replicaDb?: Knex
  /** A tracking database with all migrations of the host run. */
  readonly trackingDb: Knex
  readonly insertRow: InsertRow
  /** How people look at the secondary. Default: nobody may, and there is no GraphQL API. */
  readonly secondary?: Pick<GeoOptions, 'authorize' | 'graphql'>
}

/** One site of the bench, in this process. Nothing runs by itself. */
export interface BenchSite {
  readonly geo: Geo
  readonly parts: Assembly
  /** The type, its files in the folder of this site. */
  readonly type: Replicable
  readonly log: KeptLog
}

/** A primary and a secondary over real databases, folders and HTTP, whose work is done when a spec asks for it. */
export interface Bench {
  readonly main: Knex
  readonly tracking: Knex
  readonly primary: BenchSite
  readonly secondary: BenchSite
  readonly make: Factories
  /** Switches the flag of the type, on both sites. */
  switchFlag(on: boolean): void
  /** Resolves when the replica shows what the primary has committed. */
  caughtUp(): Promise<void>
  /** Works batch after batch until nothing waits. Returns how many batches there were. */
  work<Claim>(source: WorkSource<Claim>): Promise<number>
  /** Runs a periodic job of a site until it has nothing more to do. */
  runJob(site: BenchSite, name: string): Promise<void>
  /** The events of the type, oldest first. */
  events(): Promise<{ event_name: string; payload: Record<string, unknown> }[]>
  /** No rows, no events, no leases, the flag on. */
  reset(): Promise<void>
  close(): Promise<void>
}

const ENCRYPTION_KEY = '0f'.repeat(32)
const PRIMARY = 'bench-primary'
const SECONDARY = 'bench-secondary'
const REPLAY_POLL_MS = 5

/** Opens a bench. Its sites are added to the table geo_nodes. */
export async function openBench(options: BenchOptions): Promise<Bench> {
  const { mainDb: main, trackingDb: tracking, replicaDb = options.mainDb } = options
  const folder = await mkdtemp(join(tmpdir(), 'geo-bench-'))
  let flag = true

  const siteOf = (siteName: string, own: Pick<GeoOptions, 'mainDb'> & Partial<GeoOptions>): BenchSite => {
    const store = localDisk({ root: join(folder, siteName), durable: false })
    const type = Object.freeze({ ...(options.replicable as Replicable), store })
    const log = keptLog()
    const parts = assemble(
      parseOptions({
        siteName,
        ...own,
        replicables: [type as Replicable<never>],
        features: { isEnabled: () => flag },
        encryptionKey: ENCRYPTION_KEY,
        logger: log,
        work: false,
        threads: 1,
      }),
    )
    return { geo: facadeOf(parts), parts, type, log }
  }
  const primary = siteOf(PRIMARY, { mainDb: main })
  const secondary = siteOf(SECONDARY, { ...options.secondary, mainDb: replicaDb, trackingDb: tracking })
  const server = createServer(express().use(primary.geo.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await primary.geo.sites.add({ name: PRIMARY, url: `http://127.0.0.1:${port}`, primary: true })
  await primary.geo.sites.add({ name: SECONDARY, url: 'http://127.0.0.1' })

  const bench: Bench = {
    main,
    tracking,
    primary,
    secondary,
    make: factoriesFor({ main, tracking, primary: primary.type, secondary: secondary.type }, options.insertRow),
    switchFlag: (on) => {
      flag = on
    },
    caughtUp: () => caughtUp(main, replicaDb),
    async work(source) {
      for (let batches = 0; ; batches += 1) {
        const claim = await source.claim()
        if (claim === null) return batches
        await source.work(claim)
      }
    },
    async runJob({ parts }, name) {
      await bench.caughtUp()
      while (await step(parts, name));
    },
    events: () =>
      main('geo_events').where({ replicable_name: primary.type.name }).orderBy('id').select('event_name', 'payload'),
    async reset() {
      const { table, names } = primary.type
      // Separate states go with their rows.
      await Promise.all([
        main.raw('delete from geo_events; delete from geo_leases; delete from ??', [table]),
        tracking.raw('delete from geo_leases; delete from ??', [names.registryTable]),
      ])
      flag = true
      for (const { log } of [primary, secondary]) log.lines.splice(0)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await Promise.all([primary.geo.stop(), secondary.geo.stop()])
      await rm(folder, { recursive: true, force: true })
    },
  }
  // The secondary knows itself by its replica: it must be there already.
  await bench.caughtUp()
  await secondary.parts.sites.refresh()
  // A cursor begins where the log is at its first look: nothing that a spec publishes may be before that.
  await bench.runJob(secondary, 'events')
  return bench
}

async function caughtUp(main: Knex, replica: Knex): Promise<void> {
  const { rows } = await run<{ rows: { lsn: string }[] }>(main, 'select pg_current_wal_lsn()::text as lsn')
  for (;;) {
    const replayed = await run<{ rows: { done: boolean }[] }>(
      replica,
      'select not pg_is_in_recovery() or pg_last_wal_replay_lsn() >= ?::pg_lsn as done',
      [rows[0]?.lsn],
    )
    if (replayed.rows[0]?.done) return
    await new Promise((resolve) => setTimeout(resolve, REPLAY_POLL_MS))
  }
}
