import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import type { CurrentSelection } from './blob/selective-sync.ts'
import type { StoreIdentities } from './blob/store-identity.ts'
import type { BulkRuns } from './bulk/bulk-runs.ts'
import { type Clock, unlessAborted } from './clock.ts'
import { type Databases, heartbeatOf } from './databases.ts'
import type { Dispatcher } from './dispatcher.ts'
import { EndedWork } from './ended-work.ts'
import { followEvents } from './event/follow.ts'
import { pruneEvents } from './event/prune.ts'
import { writeSwitches } from './event/switch-table.ts'
import { eventLedger } from './event/untold.ts'
import { forEveryType } from './every-type.ts'
import type { ToldSite } from './failover/tell-epoch.ts'
import type { JobLoops } from './job-loop.ts'
import { KeyPass } from './key-pass.ts'
import { sweepTimedOut } from './last-net.ts'
import type { Leases } from './lease.ts'
import type { LoggerLike } from './log.ts'
import type { EndLease } from './other-leases.ts'
import { reverifyOldestCopies } from './registry/copies-interval.ts'
import { Reconciliation, workOf } from './registry/reconciliation.ts'
import { Singleton } from './singleton.ts'
import type { SiteDirectory } from './site.ts'
import { SiteReport } from './site-report.ts'
import type { StartCheck } from './start-check.ts'
import { Sweep } from './sweep/sweep.ts'
import type { Throughput } from './throughput.ts'
import type { PeriodicWork } from './timetable.ts'
import type { Reported } from './transfer/report.ts'
import type { StatusReport } from './transfer/status.ts'
import { backfillStates, reverifyDue, wakeNamed } from './verification/maintain-states.ts'

export interface WorkContext {
  readonly siteName: string
  readonly databases: Databases
  readonly sites: SiteDirectory
  readonly leases: Leases
  readonly stores: StoreIdentities
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly syncTimeoutMs: number
  readonly eventRetentionMs: number
  readonly orphanAgeMs: number
  readonly sweepIntervalMs: number
  readonly orphans: 'remove' | 'report'
  readonly verificationTimeoutMs: number
  readonly replicables: ReadonlyMap<string, Replicable>
  readonly dispatchers: Readonly<Record<'hash' | 'sync' | 'remove' | 'verify', Pick<Dispatcher<unknown>, 'fill'>>>
  readonly loops: JobLoops
  readonly bulk: BulkRuns
  readonly checkTables: StartCheck
  readonly endDied: EndLease
  readonly endStopped: EndLease
  readonly selection: CurrentSelection
  enabled(): readonly Replicable[]
  sendReport(report: StatusReport): Promise<Reported>
  tellEpoch(): Promise<readonly ToldSite[]>
  /** Whether the primary has asked, and none of the others that answer knows of a later one. */
  isUnchallenged(): Promise<boolean>
  /** Gathers the status of the site, if it is time. */
  gatherStatus(): Promise<void>
  readonly throughput: Pick<Throughput, 'flush'>
  /** Transfers that run keep to what the operator allows now. */
  followLimit(): void
}

/** A pass over all keys begins this often, for what no event has told. */
const PASS_EVERY_MS = 60_000
/** The same where it reads the host's own table, for what its triggers or `geo.replicator` have not told. */
const COLUMNS_PASS_EVERY_MS = 10 * 60_000

/** The pieces of periodic work, each bounded, and what they tell each other. */
export function periodicWork(context: WorkContext): { jobs: PeriodicWork } {
  const { databases, sites, leases, clock, logger, loops, dispatchers, bulk, enabled, selection } = context
  const { main } = databases
  const tracking = databases.tracking ?? main
  const onPrimary = () => sites.role === 'primary'
  const writable = () => (onPrimary() ? main : tracking)
  const following = new Singleton('events', leases)
  const reconciling = new Singleton('reconcile', leases)
  const pruning = new Singleton('prune-events', leases)
  const reporting = new Singleton('report-position', leases)
  const backfilling = new Singleton('backfill-states', leases)
  const wakingNamed = new Singleton('wake-named', leases)
  const reverifying = new Singleton('reverify', leases)
  const sweeping = new Singleton('sweep', leases)
  const gathering = new Singleton('metrics', leases)
  const tellingEpoch = new Singleton('epoch', leases)
  const bulking = new Singleton('bulk', leases)
  const reverifyingCopies = new Singleton('reverify-copies', leases)
  const reconciliation = new Reconciliation({
    replica: main,
    tracking,
    ledger: eventLedger(main, tracking, context.siteName),
    clock,
    logger,
    selection,
    enabled,
    found(found) {
      const work = workOf(found)
      if (work.sync) loops.wake('sync')
      if (work.remove) loops.wake('remove')
      if (work.verify) loops.wake('verify')
    },
  })
  const report = new SiteReport({ tracking, sites, clock, send: context.sendReport })
  const sweep = new Sweep({
    ...context,
    main,
    writable,
    role: () => sites.role,
    replicables: [...context.replicables.values()],
    everyMs: context.sweepIntervalMs,
    removes: context.orphans === 'remove',
  })
  const endedWork = new EndedWork(context)
  const statePass = new KeyPass(PASS_EVERY_MS)
  const columnsPass = new KeyPass(COLUMNS_PASS_EVERY_MS)

  /** Runs what only one process of the site does. */
  async function alone(job: Singleton, db: Knex, run: () => Promise<boolean>): Promise<boolean> {
    return (await job.hold(db)) ? run() : false
  }
  /** The same for what has no more to do before its next turn. */
  const aloneOnce = (job: Singleton, db: Knex, run: () => Promise<unknown>): Promise<boolean> =>
    alone(job, db, () => run().then(() => false))
  const keeping = (how: Replicable['verificationState']) =>
    enabled().filter((replicable) => replicable.verificationState === how)
  const fill = async (which: keyof WorkContext['dispatchers'], job: string): Promise<boolean> => {
    await dispatchers[which].fill(() => loops.wake(job))
    return false
  }

  const jobs: PeriodicWork = {
    async refreshSites() {
      await context.checkTables.untilPassed()
      await sites.refresh()
      context.followLimit()
      return false
    },
    async heartbeat() {
      await leases.heartbeat(heartbeatOf(databases, sites.role))
      return false
    },
    async cutExpiring() {
      leases.cutExpiring()
      return false
    },
    async endDeadLeases() {
      if (sites.role === 'unknown') return false
      return endedWork.step(writable())
    },
    async bulk() {
      const { role } = sites
      if (role === 'unknown') return false
      const db = writable()
      // Asked before the lease, so that there is none while there is nothing to do.
      if (!(await bulk.waiting(db))) return false
      return alone(bulking, db, () => bulk.step(db, role))
    },
    failTimedOutSyncs: () => sweepTimedOut(tracking, 'sync', enabled(), context.syncTimeoutMs, context),
    async failTimedOutVerifications() {
      if (sites.role === 'unknown') return false
      return onPrimary()
        ? sweepTimedOut(main, 'hashing', enabled(), context.verificationTimeoutMs, context)
        : sweepTimedOut(tracking, 'verification', enabled(), context.verificationTimeoutMs, context)
    },
    async sweep(signal) {
      if (sites.role === 'unknown') return false
      return alone(sweeping, writable(), () => sweep.step(signal))
    },
    async gatherStatus() {
      if (sites.role === 'unknown') return false
      return aloneOnce(gathering, writable(), () => context.gatherStatus())
    },
    async flushThroughput() {
      if (sites.role !== 'unknown') await context.throughput.flush(writable())
      return false
    },
    hashPrimary: () => fill('hash', 'verify-primary'),
    backfillStates: () =>
      alone(backfilling, main, () =>
        statePass.step(keeping('separate'), clock.monotonicMs(), async (replicable, after) => {
          const { next, changed } = await backfillStates(main, replicable, { after })
          if (changed > 0) loops.wake('verify-primary')
          return next?.after ?? null
        }),
      ),
    wakeNamed: () =>
      alone(wakingNamed, main, () =>
        columnsPass.step(keeping('columns'), clock.monotonicMs(), async (replicable, after) => {
          const { next, woken } = await wakeNamed(main, replicable, { after })
          if (woken > 0) loops.wake('verify-primary')
          return next
        }),
      ),
    reverify: () =>
      alone(reverifying, main, async () => {
        const days = sites.requireMe().minimumReverificationIntervalDays
        let more = false
        await forEveryType(enabled(), async (replicable) => {
          more = (await reverifyDue(main, replicable, days)) || more
        })
        return more
      }),
    pruneEvents: () =>
      aloneOnce(pruning, main, () => pruneEvents(main, context.eventRetentionMs, context.isUnchallenged)),
    async writeSwitches() {
      const on = enabled()
      const all = [...context.replicables.values()]
      await writeSwitches(
        main,
        all.map((replicable) => ({ name: replicable.name, enabled: on.includes(replicable) })),
      )
      return false
    },
    tellEpoch: () =>
      aloneOnce(tellingEpoch, main, async () => {
        for (const { site, problem } of await context.tellEpoch()) {
          // That it is away is told by what it does not report. A site that is fenced answers.
          if (problem) logger.debug({ ...problem, site }, 'A site does not hear of the epoch')
        }
      }),
    reportPosition: (signal) => aloneOnce(reporting, tracking, () => unlessAborted(report.run(), signal)),
    followEvents: () =>
      alone(following, tracking, async () => {
        const followed = await followEvents({
          siteName: context.siteName,
          replica: main,
          tracking,
          replicables: context.replicables,
          logger,
          selection,
        })
        if (followed.consumed.sync) loops.wake('sync')
        if (followed.consumed.verify) loops.wake('verify')
        if (followed.consumed.remove) loops.wake('remove')
        return followed.more
      }),
    reconcile: () => alone(reconciling, tracking, () => reconciliation.step()),
    sync: () => fill('sync', 'sync'),
    remove: () => fill('remove', 'remove'),
    verifyCopies: () => fill('verify', 'verify'),
    reverifyCopies: () =>
      alone(reverifyingCopies, tracking, async () => {
        const days = sites.requireMe().copiesReverificationIntervalDays
        if (days === null) return false
        let marked = 0
        await forEveryType(enabled(), async (replicable) => {
          marked += await reverifyOldestCopies(tracking, replicable, days)
        }).finally(() => {
          if (marked > 0) loops.wake('verify')
        })
        return false
      }),
  }
  return { jobs: Object.freeze(jobs) }
}
