import { randomUUID } from 'node:crypto'
import express from 'express'
import type { Assembly, Dispatchers, WorkSources } from './assembly.ts'
import { Audit } from './audit.ts'
import type { Replicable } from './blob/replicable.ts'
import { StoreIdentities } from './blob/store-identity.ts'
import { WritableStores } from './blob/writable-stores.ts'
import { BulkRuns } from './bulk/bulk-runs.ts'
import { Dispatcher } from './dispatcher.ts'
import { isBehind } from './event/cursor.ts'
import { insertEvents } from './event/event-log.ts'
import { facadeOf, type Geo } from './facade.ts'
import { promotionsAfter } from './failover/promotion-table.ts'
import { isUnchallenged, tellEpoch } from './failover/tell-epoch.ts'
import { FeatureGate } from './feature.ts'
import { afterEnd, type TransactionLike } from './host-transaction.ts'
import { JobLoops } from './job-loop.ts'
import { Leases } from './lease.ts'
import { lendingOf } from './lending.ts'
import { lifecycleOf } from './lifecycle.ts'
import { type GeoOptions, type GeoSettings, parseOptions } from './options.ts'
import type { EndLease } from './other-leases.ts'
import { thisProcess } from './process-identity.ts'
import { openReading } from './read/reading.ts'
import { registryVerification } from './registry/registry-verification.ts'
import { openResources } from './resources.ts'
import { Signals } from './signals.ts'
import { SiteDirectory } from './site.ts'
import { checkTables } from './start-check.ts'
import { RemovalWork } from './sync/remove.ts'
import { SyncWork } from './sync/schedule.ts'
import { endingOf } from './take-over.ts'
import { takeReport } from './take-report.ts'
import { Throughput } from './throughput.ts'
import { timetable } from './timetable.ts'
import { Bandwidth } from './transfer/bandwidth.ts'
import { epochRouter } from './transfer/epoch-word.ts'
import { Fetcher } from './transfer/fetch.ts'
import { reportStatus } from './transfer/report.ts'
import { retrieveRouter } from './transfer/serve.ts'
import { statusRouter } from './transfer/status.ts'
import { primaryVerification } from './verification/primary-tracker.ts'
import { VerificationWork } from './verification/verify.ts'
import { openViewing } from './viewing.ts'
import { periodicWork } from './work.ts'

/**
 * The SDK inside one process of the host.
 * @throws ConfigurationError `INVALID_OPTIONS`, `DUPLICATE_REPLICABLE`
 */
export function createGeo(options: GeoOptions): Geo {
  return facadeOf(assemble(parseOptions(options)))
}

/**
 * Wires the rooms in the order of a blob's way: the host's write becomes an event, the event a registry row, the row a
 * transfer, the file a verified copy. `stop` closes the resources.
 */
export function assemble(settings: GeoSettings, resources = openResources(settings)): Assembly {
  const { siteName, replicables, clock, logger } = settings
  const { databases, transferThreads, checksums } = resources
  const byName: ReadonlyMap<string, Replicable> = new Map(
    replicables.map((replicable) => [replicable.name, replicable]),
  )

  // Who am I, and what may I do?
  const { main } = databases
  const tracking = databases.tracking ?? main
  const sites = new SiteDirectory(siteName, main, settings.encryptionKeys, clock)
  const gate = new FeatureGate(settings.features, sites)
  const enabled = () => replicables.filter((replicable) => gate.replicationEnabled(replicable))
  const leases = new Leases(randomUUID(), clock, thisProcess())
  const stores = new StoreIdentities(clock)
  const writableStores = new WritableStores({ clock, logger, probe: (root) => transferThreads.probe(root) })
  const loops = new JobLoops(clock, logger, () => sites.role)
  const signals = new Signals(logger)
  const throughput = new Throughput(signals)

  // Bytes between sites, and whether they are right.
  const fetcher = new Fetcher(sites, transferThreads, new Bandwidth(tracking, clock), settings)
  const { allowedIps, idleTimeoutMs, ca, retrieveMargin } = settings
  const doors = { main, sites, replicables: byName, stores, allowedIps, idleTimeoutMs, clock, logger }
  const retrieve = retrieveRouter({ ...doors, threads: transferThreads, retrieveMargin })

  // People read on any site; what they write on a secondary is turned away or passed on.
  const verificationAsked = () => loops.wake('verify')
  const router = express.Router()
  const own = () => router
  const reading = openReading({
    main,
    tracking,
    sites,
    stores,
    clock,
    logger,
    idleTimeoutMs,
    ca,
    own,
    verificationAsked,
  })
  // Who is the primary now, where one was promoted.
  const telling = { sites, threads: transferThreads, clock }
  const epochs = epochRouter({ ...doors, promotionsAfter: (epoch) => promotionsAfter(main, epoch) })
  // How far each secondary is: what all of them have read, the primary forgets.
  const status = statusRouter({
    ...doors,
    store: takeReport(main, replicables),
  })
  // Where the primary's own file is damaged, a secondary lends its copy.
  const copies = lendingOf({ ...doors, tracking, checksums, retrieveMargin })
  const repairContext = { main, sites, stores, pool: checksums, threads: transferThreads, clock, idleTimeoutMs }

  // The primary hashes its files and announces each checksum; a secondary fetches, hashes and compares.
  const onPrimary = primaryVerification(main, (trx, replicable, ids) =>
    insertEvents(
      trx,
      replicable.name,
      'checksum_succeeded',
      ids.map((recordId) => ({ recordId })),
      sites.writer,
    ),
  )
  const onSecondary = registryVerification(main)
  const selection = () => (sites.role === 'secondary' ? (sites.me?.selectiveSync ?? null) : null)
  const common = { siteName, leases, stores, clock, logger, signals, enabled, selection }
  const verifying = { ...common, pool: checksums, capacity: () => sites.me?.verificationMaxCapacity ?? 0 }
  const hashing = new VerificationWork({ ...verifying, db: main, tracker: onPrimary })
  const verifyingCopies = new VerificationWork({ ...verifying, db: tracking, tracker: onSecondary })
  const syncing = new SyncWork({
    ...common,
    replica: main,
    tracking,
    replicables,
    fetcher,
    threads: transferThreads,
    writableStores,
    verificationAsked,
    capacity: () => (sites.me?.enabled ? sites.me.filesMaxCapacity : 0),
  })
  const removing = new RemovalWork({ ...common, replica: main, tracking, replicables, isBehind })

  const sources: WorkSources = { hash: hashing, sync: syncing, remove: removing, verify: verifyingCopies }
  const dispatchers: Dispatchers = {
    hash: new Dispatcher(hashing, clock, logger),
    sync: new Dispatcher(syncing, clock, logger),
    remove: new Dispatcher(removing, clock, logger),
    verify: new Dispatcher(verifyingCopies, clock, logger),
  }
  const ending =
    (how: 'died' | 'stopped'): EndLease =>
    (trx, lease) =>
      endingOf(how, sites.role === 'primary' ? onPrimary : onSecondary, byName, clock, logger, signals)(trx, lease)
  const writable = () => (sites.role === 'primary' ? main : tracking)
  const check = checkTables(databases, sites, replicables)
  const bulk = new BulkRuns({
    replicables: byName,
    sites,
    writable,
    started: () => loops.wake('bulk'),
    changed: (action) =>
      loops.wake(sites.role === 'primary' ? 'verify-primary' : action === 'resync' ? 'sync' : 'verify'),
  })
  // A site that is in no table yet writes the main database, as its first change does.
  const audit = new Audit({ sites, logger, writable: () => (sites.role === 'secondary' ? tracking : main) })
  const viewing = openViewing({
    ...resources,
    settings,
    sites,
    gate,
    leases,
    stores,
    writableStores,
    loops,
    signals,
    byName,
    bulk,
    audit,
    check,
    transferRefusal: () => syncing.refusal,
    isEnding: () => lifecycle.isEnding(),
  })
  const work = periodicWork({
    ...common,
    throughput,
    gatherStatus: () => viewing.gathering.run(),
    syncTimeoutMs: settings.syncTimeoutMs,
    verificationTimeoutMs: settings.verificationTimeoutMs,
    eventRetentionMs: settings.eventRetentionMs,
    orphanAgeMs: settings.orphanAgeMs,
    sweepIntervalMs: settings.sweepIntervalMs,
    orphans: settings.orphans,
    sendReport: (report) => reportStatus(telling, report),
    tellEpoch: () => tellEpoch(telling),
    isUnchallenged: () => isUnchallenged(telling),
    databases,
    sites,
    replicables: byName,
    dispatchers,
    loops,
    bulk,
    followLimit: () => fetcher.followLimit(),
    checkTables: check,
    endDied: ending('died'),
    endStopped: ending('stopped'),
  })
  const jobs = timetable(work.jobs, replicables.length)

  // After a rollback there is nothing to hash, and one look finds that out.
  const hashAfter = (trx: TransactionLike) => afterEnd(trx, () => loops.wake('verify-primary'))
  const lifecycle = lifecycleOf({
    resources,
    closeViewing: viewing.close,
    reading,
    sites,
    leases,
    loops,
    jobs,
    dispatchers,
    check,
    writable,
    clock,
    logger,
    works: settings.work,
    endStopped: ending('stopped'),
  })

  const { probes, metrics, rest, graphql, details, admin } = viewing
  for (const part of [probes, metrics, retrieve, status, copies, epochs, rest, graphql, details.router, admin])
    router.use(part)

  return Object.freeze({
    settings,
    byName,
    databases,
    sites,
    gate,
    leases,
    stores,
    loops,
    sources,
    dispatchers,
    bulk,
    audit,
    jobs,
    repairContext,
    retrieve,
    status,
    copies,
    epochs,
    viewing,
    router,
    reading,
    signals,
    hashAfter,
    ...lifecycle,
  })
}
