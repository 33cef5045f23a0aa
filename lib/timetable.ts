import type { Job } from './job-loop.ts'
import { HEARTBEAT_EVERY_MS } from './lease.ts'
import { lookEveryMs } from './type-turns.ts'

/** The rooms' work as the timetable starts it: each does one bounded piece and says whether there is more. */
export interface PeriodicWork {
  refreshSites(): Promise<boolean>
  heartbeat(): Promise<boolean>
  cutExpiring(): Promise<boolean>
  endDeadLeases(): Promise<boolean>
  bulk(): Promise<boolean>
  sweep(signal: AbortSignal): Promise<boolean>
  hashPrimary(): Promise<boolean>
  backfillStates(): Promise<boolean>
  wakeNamed(): Promise<boolean>
  reverify(): Promise<boolean>
  pruneEvents(): Promise<boolean>
  writeSwitches(): Promise<boolean>
  tellEpoch(): Promise<boolean>
  reportPosition(signal: AbortSignal): Promise<boolean>
  followEvents(): Promise<boolean>
  reconcile(): Promise<boolean>
  failTimedOutSyncs(): Promise<boolean>
  failTimedOutVerifications(): Promise<boolean>
  sync(): Promise<boolean>
  remove(): Promise<boolean>
  verifyCopies(): Promise<boolean>
  reverifyCopies(): Promise<boolean>
  gatherStatus(): Promise<boolean>
  flushThroughput(): Promise<boolean>
}

/** One query, whatever the number of types. */
const EVENTS_EVERY_MS = 250
/** A process follows a change of the sites within five seconds, replication of the database included. */
const SITES_EVERY_MS = 2500
const SECOND_MS = 1000
// After the 20 s of a lease this leaves enough of the promised 30 s for a machine under load.
const TAKE_OVER_EVERY_MS = 2 * SECOND_MS
const MINUTE_MS = 60_000

// A renewal that failed is tried again soon: there are four attempts' time before the leases end.
const HEARTBEAT = Object.freeze({
  name: 'heartbeat',
  role: 'any',
  idleMs: HEARTBEAT_EVERY_MS,
  longestRetryMs: SECOND_MS,
  upkeep: true,
})

/** Which periodic work runs on which role, and how long each rests when there is nothing to do. `types`: how many are declared. */
export function timetable(work: PeriodicWork, types: number): Job[] {
  const lookMs = lookEveryMs(types)
  return [
    { name: 'sites', role: 'any', idleMs: SITES_EVERY_MS, run: work.refreshSites },
    { ...HEARTBEAT, run: work.heartbeat },
    { name: 'cut-expiring', role: 'any', idleMs: SECOND_MS, upkeep: true, run: work.cutExpiring },
    { name: 'end-dead-leases', role: 'any', idleMs: TAKE_OVER_EVERY_MS, run: work.endDeadLeases },
    { name: 'verification-timeouts', role: 'any', idleMs: MINUTE_MS, run: work.failTimedOutVerifications },
    { name: 'bulk', role: 'any', idleMs: SECOND_MS, run: work.bulk },
    { name: 'throughput', role: 'any', idleMs: 5 * SECOND_MS, upkeep: true, run: work.flushThroughput },
    { name: 'metrics', role: 'any', idleMs: 5 * SECOND_MS, run: work.gatherStatus },
    { name: 'sweep', role: 'any', idleMs: MINUTE_MS, run: work.sweep },

    { name: 'verify-primary', role: 'primary', idleMs: lookMs, run: work.hashPrimary },
    { name: 'backfill-states', role: 'primary', idleMs: SECOND_MS, run: work.backfillStates },
    { name: 'wake-named', role: 'primary', idleMs: SECOND_MS, run: work.wakeNamed },
    { name: 'reverify', role: 'primary', idleMs: MINUTE_MS, run: work.reverify },

    { name: 'prune-events', role: 'primary', idleMs: 5 * MINUTE_MS, run: work.pruneEvents },
    { name: 'epoch', role: 'primary', idleMs: 30 * SECOND_MS, run: work.tellEpoch },
    { name: 'switches', role: 'primary', idleMs: SITES_EVERY_MS, run: work.writeSwitches },

    { name: 'events', role: 'secondary', idleMs: EVENTS_EVERY_MS, run: work.followEvents },
    { name: 'report-position', role: 'secondary', idleMs: 10 * SECOND_MS, run: work.reportPosition },
    { name: 'reconcile', role: 'secondary', idleMs: SECOND_MS, run: work.reconcile },
    { name: 'sync-timeouts', role: 'secondary', idleMs: 10 * MINUTE_MS, run: work.failTimedOutSyncs },
    { name: 'sync', role: 'secondary', idleMs: lookMs, run: work.sync },
    { name: 'remove', role: 'secondary', idleMs: Math.max(SECOND_MS, lookMs), run: work.remove },
    { name: 'verify', role: 'secondary', idleMs: lookMs, run: work.verifyCopies },
    { name: 'reverify-copies', role: 'secondary', idleMs: MINUTE_MS, run: work.reverifyCopies },
  ]
}
