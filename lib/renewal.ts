import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { messageOf } from './errors.ts'
import { HEARTBEAT_EVERY_MS, type Leases } from './lease.ts'
import type { LoggerLike } from './log.ts'

const LOOK_EVERY_MS = 1000

/** Renews the leases that are taken during `work`, also in a process that does no background work. */
export async function whileRenewing<Result>(
  leases: Leases,
  db: Knex,
  { clock, logger }: { clock: Clock; logger: LoggerLike },
  work: () => Promise<Result>,
): Promise<Result> {
  const ended = new AbortController()
  const renewing = renew(leases, db, clock, logger, ended.signal)
  try {
    return await work()
  } finally {
    ended.abort()
    await renewing
  }
}

async function renew(leases: Leases, db: Knex, clock: Clock, logger: LoggerLike, ended: AbortSignal): Promise<void> {
  let renewedAtMs = clock.monotonicMs()
  for (;;) {
    await clock.sleep(LOOK_EVERY_MS, ended)
    if (ended.aborted) return
    leases.cutExpiring()
    if (clock.monotonicMs() - renewedAtMs < HEARTBEAT_EVERY_MS) continue
    renewedAtMs = clock.monotonicMs()
    try {
      await leases.heartbeat(db)
    } catch (reason) {
      // Tried again in time; what cannot be renewed is cut, and says so itself.
      logger.warn({ code: 'DATABASE_UNAVAILABLE', reason: messageOf(reason) }, 'Leases could not be renewed')
    }
  }
}
