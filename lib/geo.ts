import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import express, { type Router } from 'express'
import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import { StoreIdentities } from './blob/store-identity.ts'
import { openDatabases } from './databases.ts'
import { Dispatcher } from './dispatcher.ts'
import { insertEvents } from './event/event-log.ts'
import { type Replicator, replicatorOf } from './event/publish.ts'
import { FeatureGate } from './feature.ts'
import { JobLoops } from './job-loop.ts'
import { endLeasesOf, Leases } from './lease.ts'
import { type GeoOptions, parseOptions } from './options.ts'
import { registryVerification } from './registry/registry-verification.ts'
import { reverifyAll } from './registry/reverify.ts'
import { SiteDirectory } from './site.ts'
import { insertSite, listSites, type NewSite, type Site, type SiteChange, updateSite } from './site-table.ts'
import { checkTables } from './start-check.ts'
import { RemovalWork } from './sync/remove.ts'
import { SyncWork } from './sync/schedule.ts'
import { endingOf } from './take-over.ts'
import { timetable } from './timetable.ts'
import { Fetcher } from './transfer/fetch.ts'
import { retrieveRouter } from './transfer/serve.ts'
import { TransferThreads } from './transfer/threads.ts'
import { requestChecksum } from './verification/await-checksum.ts'
import { ChecksumPool } from './verification/checksum.ts'
import { forgetChecksum } from './verification/primary-state.ts'
import { primaryVerification } from './verification/primary-tracker.ts'
import { VerificationWork } from './verification/verify.ts'
import { checkHealth, type Health } from './view/health.ts'
import { periodicWork } from './work.ts'

const MOST_THREADS = 4

/** The SDK inside one process of the host. */
export interface Geo {
  /** All routes; mount it anywhere in the app. */
  readonly router: Router
  /** The same routes, part by part. */
  readonly routers: { readonly retrieve: Router }
  /** Begins the background work. Throws ConfigurationError; a database that is down is no error, work begins when it is back. */
  start(): Promise<void>
  /** Takes no new work and waits for what runs, at most `timeoutMs`. True if all of it ended. */
  drain(options: { timeoutMs: number }): Promise<boolean>
  /** Cuts transfers, gives back leases, closes threads and connections. Twice is once. */
  stop(): Promise<void>
  /** What the host calls in the transaction of its writes. */
  replicator<Row>(replicable: Replicable<Row>): Replicator<Row>
  /** What is wrong with this site now. */
  health(): Promise<Health>
  /** On a secondary: every synced copy is hashed again. Returns how many. */
  reverify<Row>(replicable: Replicable<Row>): Promise<number>
  readonly sites: {
    /** Adds a site; on the primary's database. Throws GeoError `INVALID_SITE`, `SITE_EXISTS`. */
    add(site: NewSite): Promise<Site>
    /** Changes settings of a site; on the primary's database. Throws GeoError `INVALID_SITE`, `SITE_UNKNOWN`. */
    update(name: string, change: SiteChange): Promise<Site>
    list(): Promise<Site[]>
  }
}

/**
 * Wires the rooms in the order of a blob's way: the host's write becomes an event, the event a registry row, the row a
 * transfer, the file a verified copy.
 * @throws ConfigurationError `INVALID_OPTIONS`, `DUPLICATE_REPLICABLE`
 */
export function createGeo(options: GeoOptions): Geo {
  const settings = parseOptions(options)
  const { siteName, replicables, clock, logger } = settings
  const byName: ReadonlyMap<string, Replicable> = new Map(
    replicables.map((replicable) => [replicable.name, replicable]),
  )
  const threads = settings.threads ?? Math.min(availableParallelism(), MOST_THREADS)

  // Who am I, and what may I do?
  const databases = openDatabases(settings.mainDb, settings.trackingDb)
  const { main } = databases
  const tracking = databases.tracking ?? main
  const sites = new SiteDirectory(siteName, main, settings.encryptionKey, clock)
  const gate = new FeatureGate(settings.features, sites)
  const enabled = () => replicables.filter((replicable) => gate.replicationEnabled(replicable))
  const leases = new Leases(randomUUID(), clock)
  const stores = new StoreIdentities(clock)
  const loops = new JobLoops(clock, logger, () => sites.role)

  // Bytes between sites, and whether they are right.
  const transferThreads = new TransferThreads(threads)
  const checksums = new ChecksumPool(threads)
  const fetcher = new Fetcher(sites, transferThreads, clock, settings.idleTimeoutMs)
  const retrieve = retrieveRouter({ main, sites, replicables: byName, threads: transferThreads, stores, clock, logger })

  // The primary hashes its files and announces each checksum; a secondary fetches, hashes and compares.
  const onPrimary = primaryVerification(main, (trx, replicable, ids) =>
    insertEvents(
      trx,
      replicable.name,
      'checksum_succeeded',
      ids.map((recordId) => ({ recordId })),
    ),
  )
  const onSecondary = registryVerification(main)
  const common = { siteName, leases, stores, clock, logger, enabled }
  const verifying = { ...common, pool: checksums, capacity: () => sites.me?.verificationMaxCapacity ?? 0 }
  const hashing = new VerificationWork({ ...verifying, db: main, tracker: onPrimary })
  const verifyingCopies = new VerificationWork({ ...verifying, db: tracking, tracker: onSecondary })
  const syncing = new SyncWork({
    ...common,
    replica: main,
    tracking,
    fetcher,
    threads: transferThreads,
    capacity: () => (sites.me?.enabled ? sites.me.filesMaxCapacity : 0),
  })
  const removing = new RemovalWork({ ...common, replica: main, tracking, replicables })

  const dispatchers = {
    hash: new Dispatcher(hashing, clock, logger),
    sync: new Dispatcher(syncing, clock, logger),
    remove: new Dispatcher(removing, clock, logger),
    verify: new Dispatcher(verifyingCopies, clock, logger),
  }
  const ending = (how: 'died' | 'stopped') =>
    endingOf(how, sites.role === 'primary' ? onPrimary : onSecondary, byName, clock)
  const writable = () => (sites.role === 'primary' ? main : tracking)
  const check = checkTables(databases, sites, replicables)
  const work = periodicWork({
    ...common,
    databases,
    sites,
    replicables: byName,
    dispatchers,
    loops,
    checkTables: check,
    endDied: (trx, lease) => ending('died')(trx, lease),
  })

  const wakeAfter = (trx: Knex.Transaction) => {
    const wake = () => loops.wake('verify-primary')
    // A rollback is the host's business; there is nothing to hash then.
    trx.executionPromise.then(wake, wake)
  }
  const drained = () => Promise.all(Object.values(dispatchers).map((dispatcher) => dispatcher.drain()))
  let stopping: Promise<void> | null = null

  async function stop(): Promise<void> {
    await loops.stop()
    leases.cutAll()
    const ended = drained()
    await Promise.all([checksums.close(), transferThreads.close()])
    await ended
    try {
      if (sites.role !== 'unknown') await endLeasesOf(writable(), leases.holder, ending('stopped'))
    } catch (reason) {
      // Without the database nothing can be given back; the leases end by themselves.
      logger.warn({ code: 'DATABASE_UNAVAILABLE', reason: String(reason) }, 'Leases could not be given back')
    }
    await databases.close()
  }

  const router = express.Router()
  router.use(retrieve)

  return Object.freeze({
    router,
    routers: Object.freeze({ retrieve }),
    async start() {
      if (stopping) return
      await check.atStart(logger)
      if (settings.work && !stopping) loops.start(timetable(work.jobs))
    },
    async drain({ timeoutMs }: { timeoutMs: number }) {
      const inTime = new AbortController()
      const ended = drained().then(() => true)
      const late = clock.sleep(timeoutMs, inTime.signal).then(() => false)
      return Promise.race([ended, late]).finally(() => inTime.abort())
    },
    stop() {
      stopping ??= stop()
      return stopping
    },
    replicator<Row>(replicable: Replicable<Row>) {
      return replicatorOf(replicable, sites, gate, { requestChecksum, forgetChecksum }, wakeAfter)
    },
    health: () =>
      checkHealth({
        main,
        tracking: databases.tracking,
        sites,
        stores,
        replicables,
        jobFailures: () => loops.failures,
        transferRefusal: () => syncing.refusal,
        earlyEvents: () => work.earlyEvents(),
      }),
    async reverify<Row>(replicable: Replicable<Row>) {
      const woken = await reverifyAll(tracking, replicable as Replicable)
      loops.wake('verify')
      return woken
    },
    sites: Object.freeze({
      add: async (site: NewSite) => {
        const added = await insertSite(main, settings.encryptionKey, site)
        await sites.refresh()
        return added
      },
      update: async (name: string, change: SiteChange) => {
        const updated = await updateSite(main, name, change)
        await sites.refresh()
        return updated
      },
      list: () => listSites(main),
    }),
  })
}
