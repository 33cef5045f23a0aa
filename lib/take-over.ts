import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import { backoffSeconds, type Clock } from './clock.ts'
import type { LoggerLike } from './log.ts'
import type { EndedLease, EndLease } from './other-leases.ts'
import { lockInOrder } from './registry/lock-order.ts'
import { giveBackRows, noteStrayFiles, type StrayFile, takeOverRows } from './registry/marks.ts'
import type { Signals } from './signals.ts'
import { SYNC_LEASE } from './sync/schedule.ts'
import { logSyncMove, logVerificationMove } from './transition-log.ts'
import type { VerificationTracker } from './verification/tracker.ts'
import { isVerificationLease } from './verification/verify.ts'

// What a taken-over row waits where it may be to blame; the formula of failures, as if it had failed three times.
const FAILURES_ASSUMED = 3

const TAKEN_OVER = Object.freeze({ method: 'takeOver', from: 'started', to: 'failed' } as const)

/**
 * What becomes of the records of a lease that has ended. `died`: the work is due at once as long as others may be to blame, and
 * counted, for a blob that kills its worker must not loop. `stopped`: given back in good order, nothing counted.
 */
export function endingOf(
  how: 'died' | 'stopped',
  tracker: VerificationTracker,
  replicables: ReadonlyMap<string, Replicable>,
  clock: Clock,
  logger: LoggerLike,
  signals: Signals,
): EndLease {
  return async (trx: Knex.Transaction, { id, kind, replicableName, recordIds, fileKeys }: EndedLease) => {
    const replicable = replicables.get(replicableName ?? '')
    // A lease on a periodic job has no records, and records of a type that is no longer declared are nobody's work.
    if (!replicable || recordIds.length === 0) return
    const retryInSeconds = backoffSeconds(FAILURES_ASSUMED, () => clock.random())
    if (isVerificationLease(kind)) {
      if (how === 'died') {
        const lost = await tracker.takeOver(trx, replicable, recordIds, retryInSeconds)
        logVerificationMove(trx, logger, tracker.tableOf(replicable), TAKEN_OVER, lost)
        tellLost(trx, signals, 'verification', replicable, lost)
      } else await tracker.giveBack(trx, replicable, recordIds)
      return
    }
    await lockInOrder(trx, replicable, recordIds)
    await noteStrayFiles(trx, replicable, straysOf(recordIds, fileKeys ?? []))
    if (kind === SYNC_LEASE && how === 'died') {
      const lost = await takeOverRows(trx, replicable, id, recordIds, retryInSeconds)
      logSyncMove(trx, logger, replicable, TAKEN_OVER, lost)
      const ids = lost.map((row) => row.id)
      tellLost(trx, signals, 'sync', replicable, ids)
    } else await giveBackRows(trx, replicable, id, recordIds)
  }
}

/** Files that may lie under names that no row was marked with. */
function straysOf(ids: readonly string[], keys: readonly (string | null)[]): StrayFile[] {
  return ids.flatMap((id, position) => {
    const key = keys[position] ?? null
    return key === null ? [] : [{ id, key }]
  })
}

function tellLost(
  trx: Knex.Transaction,
  signals: Signals,
  during: 'sync' | 'verification',
  { name: type }: Replicable,
  ids: readonly string[],
): void {
  const message = 'The process that worked on this blob stopped answering'
  const tell = () => {
    for (const id of ids)
      signals.tell('blob:failed', { type, id, during, code: 'WORKER_LOST', message, retryInSeconds: null })
  }
  // What was rolled back is taken over again, and told then.
  trx.executionPromise.then(tell, () => undefined)
}
