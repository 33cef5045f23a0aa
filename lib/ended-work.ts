import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import type { Clock } from './clock.ts'
import { isAway } from './database-failures.ts'
import { LONGEST_RETRY_MS } from './job-loop.ts'
import type { Leases } from './lease.ts'
import type { LoggerLike } from './log.ts'
import { type EndLease, endAbandoned, endDeadLeases, endLeasesOfGone } from './other-leases.ts'

export interface EndedWorkContext {
  readonly leases: Leases
  readonly clock: Clock
  readonly logger: LoggerLike
  /** All declared types, by name: work of others is left to processes that know them. */
  readonly replicables: ReadonlyMap<string, Replicable>
  /** Its process died. */
  readonly endDied: EndLease
  /** It was given up in good order. */
  readonly endStopped: EndLease
}

/**
 * Others could renew their leases as little while the database was away. They look for it this often at least, and then give back
 * themselves what has ended meanwhile.
 */
const GRACE_MS = LONGEST_RETRY_MS + 2000

/** Has work taken up that ended without the end of its lease. */
export class EndedWork {
  readonly #context: EndedWorkContext
  /** When the database did not answer last. */
  #awayAtMs = Number.NEGATIVE_INFINITY

  constructor(context: EndedWorkContext) {
    this.#context = context
  }

  /** Takes up some; true where there may be more. What cannot be taken up is thrown once nothing else is left. */
  async step(db: Knex): Promise<boolean> {
    try {
      return await this.#step(db)
    } catch (reason) {
      if (isAway(reason)) this.#awayAtMs = this.#context.clock.monotonicMs()
      throw reason
    }
  }

  async #step(db: Knex): Promise<boolean> {
    const { leases, clock, logger, replicables, endDied, endStopped } = this.#context
    const types = [...replicables.keys()]
    const abandoned = await endAbandoned(db, leases, endStopped)
    if (abandoned.count > 0)
      logger.info({ leases: abandoned.count }, 'Work that failed with its database is given back')
    const isGrace = clock.monotonicMs() < this.#awayAtMs + GRACE_MS
    const dead = isGrace ? null : await endDeadLeases(db, types, endDied)
    const gone = await endLeasesOfGone(db, leases.process, types, endDied)
    const ended = (dead?.count ?? 0) + gone.count
    if (ended > 0)
      logger.warn({ code: 'WORKER_LOST', leases: ended }, 'Work of a process that stopped answering is taken up')
    if (abandoned.count + ended > 0) return true
    const [failure] = [...abandoned.failures, ...(dead?.failures ?? []), ...gone.failures]
    if (failure !== undefined) throw failure
    return false
  }
}
