import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Knex } from 'knex'
import type { Assembly } from '../assembly.ts'
import { localDisk } from '../blob/local-disk.ts'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import type { WorkSource } from '../dispatcher.ts'
import { GeoError, messageOf } from '../errors.ts'
import { facadeOf } from '../facade.ts'
import { assemble } from '../geo.ts'
import { type GeoOptions, parseOptions } from '../options.ts'
import { SYNC } from '../registry/sync-state.ts'
import { VERIFICATION } from '../verification/verification-state.ts'
import { factoriesFor } from './factories.ts'
import { keptLog } from './kept-log.ts'
import { registryRow } from './rows.ts'
import { settle, step } from './settle.ts'
import { shiftedClock } from './shifted-clock.ts'
import { type StagedStore, stagedStore } from './store-faults.ts'
import type { TestSite, TwoSites, TwoSitesOptions } from './two-sites.ts'
import { openWire, type Wire } from './wire.ts'

/** A site of the bench with what hosts do not see. */
export interface BenchSite extends TestSite {
  readonly parts: Assembly
}

/** Two sites as the suites have them: with what is inside, and single pieces of work. */
export interface Bench extends TwoSites {
  readonly primary: BenchSite
  readonly secondary: BenchSite
  /** Works batch after batch until nothing waits. Returns how many batches there were. */
  work<Claim>(source: WorkSource<Claim>): Promise<number>
  /** Runs a periodic job of a site until it has nothing more to do. */
  runJob(site: BenchSite, name: string): Promise<void>
}

interface OpenSite extends BenchSite {
  readonly stores: readonly StagedStore[]
  readonly wire: Wire
}

const ENCRYPTION_KEY = '0f'.repeat(32)
const PRIMARY = 'primary'
const SECONDARY = 'secondary'
const REPLAY_POLL_MS = 5
// A site looks at most once a second whether a store is mounted.
const STORE_LOOK_MS = 1000
// More rounds than any backlog of a spec needs: sites that always have more to do must not hang the caller.
const MOST_ROUNDS = 100

/**
 * A primary and a secondary in this process, on folders of their own below the system's temporary folder, with HTTP between them.
 * They are added to the table geo_nodes. Nothing runs by itself: `settle` does the work.
 * @throws ConfigurationError as createGeo
 */
export async function twoSites(options: TwoSitesOptions): Promise<TwoSites> {
  return openBench(options)
}

export async function openBench(options: TwoSitesOptions): Promise<Bench> {
  const { main, replica, tracking } = options.databases
  const declared = [options.replicable, ...(options.others ?? [])] as readonly Replicable[]
  const { flag } = (options.replicable as Replicable).names
  const folder = await mkdtemp(join(tmpdir(), 'geo-two-sites-'))
  const clock = shiftedClock()
  let on = true

  const openSite = async (siteName: string, own: Pick<GeoOptions, 'mainDb'> & Partial<GeoOptions>) => {
    const rootOf = ({ name }: Replicable) => join(folder, siteName, name)
    const types = declared.map((type) =>
      Object.freeze({ ...type, store: localDisk({ root: rootOf(type), durable: false }) }),
    )
    const stores = declared.map((type) => stagedStore(rootOf(type), () => clock.advance(STORE_LOOK_MS)))
    const [type, [faults]] = [types[0], stores]
    if (!type || !faults) throw new Error('There is no type')
    const log = keptLog()
    const parts = assemble(
      parseOptions({
        siteName,
        ...own,
        replicables: types as readonly Replicable<never>[],
        features: { isEnabled: (name) => name !== flag || on },
        encryptionKey: ENCRYPTION_KEY,
        logger: log,
        work: false,
        threads: 1,
        clock,
      }),
    )
    const geo = facadeOf(parts)
    const wire = await openWire(geo.router)
    const byName = Object.fromEntries(types.map((each) => [each.name, each]))
    const site: OpenSite = { geo, parts, type, types: byName, log, faults, stores, wire, url: wire.url }
    return site
  }
  const primary = await openSite(PRIMARY, { mainDb: main })
  const secondary = await openSite(SECONDARY, { ...options.secondary, mainDb: replica, trackingDb: tracking })
  const sites = [primary, secondary]
  await primary.geo.sites.add({ name: PRIMARY, url: primary.url, primary: true })
  await primary.geo.sites.add({ name: SECONDARY, url: secondary.url })

  const bench: Bench = {
    main,
    tracking,
    primary,
    secondary,
    clock,
    wire: primary.wire,
    make: factoriesFor({ main, tracking, primary: primary.type, secondary: secondary.type }, options.insertRow),
    switchFlag: (to) => {
      on = to
    },
    caughtUp: () => caughtUp(main, replica),
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
    async settle() {
      for (let round = 0; round < MOST_ROUNDS; round += 1) {
        const worked = await settleSite(primary)
        await bench.caughtUp()
        if (!(await settleSite(secondary)) && !worked) return
      }
      throw new Error(`The sites still find work after ${MOST_ROUNDS} rounds`)
    },
    async copyOf(id) {
      const row = await registryRow(tracking, secondary.type, id)
      return row
        ? {
            sync: SYNC.named(Number(row['state'])),
            verification: VERIFICATION.named(Number(row['verification_state'])),
            errorCode: (row['error_code'] ?? null) as string | null,
          }
        : null
    },
    events: () =>
      main('geo_events').where({ replicable_name: primary.type.name }).orderBy('id').select('event_name', 'payload'),
    async reset() {
      // Separate states go with their rows.
      await run(main, 'delete from geo_events; delete from geo_leases')
      for (const { table } of declared) await main(table).delete()
      await tracking('geo_leases').delete()
      for (const { names } of declared) await tracking(names.registryTable).delete()
      on = true
      for (const { log, stores, wire } of sites) {
        log.lines.splice(0)
        wire.reset()
        for (const store of stores) await store.reset()
      }
    },
    async close() {
      await Promise.all(sites.map(({ wire }) => wire.close()))
      await Promise.all(sites.map(({ geo }) => geo.stop()))
      await rm(folder, { recursive: true, force: true })
    },
  }
  // The secondary knows itself by its replica: it must be there already.
  await bench.caughtUp()
  for (const { parts, types } of sites) {
    await parts.sites.refresh()
    // Marked now, so that a store that is away later is missed and not begun anew.
    const db = parts.databases.tracking ?? parts.databases.main
    for (const type of Object.values(types)) await parts.stores.problem(type, db, parts.settings.siteName)
  }
  // A cursor begins where the log is at its first look: nothing that a spec publishes may be before that.
  await bench.runJob(secondary, 'events')
  return bench
}

/** A job that fails with a code is logged, as in a site that runs: it may be what a spec has staged. */
function settleSite({ parts, log }: BenchSite): Promise<boolean> {
  return settle(parts, undefined, async (job) => {
    try {
      return await step(parts, job)
    } catch (reason) {
      if (!(reason instanceof GeoError)) throw reason
      log.error({ code: reason.code, job, error: messageOf(reason) }, `The job ${job} failed; it is tried again`)
      return false
    }
  })
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
