import type { Knex } from 'knex'
import type { Dispatchers } from './assembly.ts'
import { type Clock, settlesWithin } from './clock.ts'
import { messageOf } from './errors.ts'
import type { Job, JobLoops } from './job-loop.ts'
import type { Leases } from './lease.ts'
import type { LoggerLike } from './log.ts'
import { type EndLease, endJobLeasesOf, endLeasesOf } from './other-leases.ts'
import type { Reading } from './read/reading.ts'
import type { Resources } from './resources.ts'
import type { SiteDirectory } from './site.ts'
import type { StartCheck } from './start-check.ts'

/** What a process of the site does between its birth and its death. */
export interface Lifecycle {
  start(): Promise<void>
  drain(options: { timeoutMs: number }): Promise<boolean>
  stop(): Promise<void>
  /** Whether it has been told to drain or to stop. */
  isEnding(): boolean
}

export interface LifecycleContext {
  readonly resources: Resources
  readonly reading: Pick<Reading, 'close'>
  /** Tells a host's registry no more. */
  closeViewing(): Promise<void>
  readonly sites: SiteDirectory
  readonly leases: Leases
  readonly loops: JobLoops
  readonly jobs: readonly Job[]
  readonly dispatchers: Dispatchers
  readonly check: StartCheck
  /** The database in which this site keeps its leases, once its role is known. */
  writable(): Knex
  readonly clock: Clock
  readonly logger: LoggerLike
  /** Whether this process does background work at all. */
  readonly works: boolean
  /** What becomes of the records of a lease that is given back. */
  readonly endStopped: EndLease
}

/** What cut transfers get to put their files in order before their threads end. */
const CUT_TRANSFERS_MS = 2000
/** How long a stop waits for a database that does not answer. */
const SILENT_DATABASE_MS = 3000

/** Start, drain and stop: in the order of the flow, and back. */
export function lifecycleOf(context: LifecycleContext): Lifecycle {
  const { resources, reading, sites, leases, loops, check, clock, logger } = context
  const { databases, transferThreads, checksums } = resources
  const dispatchers = Object.values(context.dispatchers)
  let starting: Promise<void> | null = null
  let draining: Promise<void> | null = null
  let stopping: Promise<void> | null = null

  async function start(): Promise<void> {
    if (draining || stopping) return
    await check.atStart(logger)
    // Too late where someone stopped it meanwhile: the loops know.
    if (context.works) loops.start(context.jobs)
  }

  async function drain(): Promise<void> {
    const worked = Promise.all(dispatchers.map((dispatcher) => dispatcher.drain()))
    await loops.drain()
    await attempt('Periodic jobs could not be given back', (db) => endJobLeasesOf(db, leases.holder))
    await worked
  }

  async function stop(): Promise<void> {
    const viewed = context.closeViewing()
    const looped = loops.stop()
    const worked = Promise.all(dispatchers.map((dispatcher) => dispatcher.stop()))
    leases.cutAll()
    await Promise.all([viewed, reading.close(), checksums.close(), settlesWithin(clock, worked, CUT_TRANSFERS_MS)])
    await transferThreads.close()
    const given = Promise.all([looped, worked]).then(() =>
      attempt('Leases could not be given back', (db) => endLeasesOf(db, leases.holder, context.endStopped)),
    )
    await settlesWithin(clock, given, SILENT_DATABASE_MS)
    await databases.close(SILENT_DATABASE_MS)
    await Promise.allSettled([given, draining, starting])
  }

  /** Without the database nothing can be given back; the leases end by themselves. */
  async function attempt(failure: string, act: (db: Knex) => Promise<void>): Promise<void> {
    if (sites.role === 'unknown') return
    try {
      await act(context.writable())
    } catch (reason) {
      logger.warn({ code: 'DATABASE_UNAVAILABLE', reason: messageOf(reason) }, failure)
    }
  }

  return {
    start() {
      starting ??= start().catch((reason: unknown) => {
        // What was wrong may be mended, and start called again.
        starting = null
        throw reason
      })
      return starting
    },
    drain({ timeoutMs }) {
      draining ??= stopping ?? drain()
      return settlesWithin(clock, draining, timeoutMs)
    },
    stop() {
      stopping ??= stop()
      return stopping
    },
    isEnding: () => draining !== null || stopping !== null,
  }
}
