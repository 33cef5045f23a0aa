import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import type { LoggerLike } from '../log.ts'
import type { Signals } from '../signals.ts'
import { traceDone } from '../tracing.ts'
import { logSyncMove, logVerificationMove } from '../transition-log.ts'
import type { ClaimedRecord, Verdict, VerificationTracker } from './tracker.ts'

/** What is told of a batch of verification. */

interface Teller {
  readonly tracker: VerificationTracker
  readonly logger: LoggerLike
}

interface Batch {
  readonly replicable: Replicable
  readonly claimed: readonly ClaimedRecord[]
}

export function logStarted(
  trx: Knex.Transaction,
  { tracker, logger }: Teller,
  replicable: Replicable,
  claimed: readonly ClaimedRecord[],
): void {
  for (const [from, records] of Map.groupBy(claimed, (record) => record.from)) {
    const move = { method: 'claim', from, to: 'started' } as const
    const ids = records.map((record) => record.id)
    logVerificationMove(trx, logger, tracker.tableOf(replicable), move, ids)
  }
}

/** Of a copy that failed, the sync has failed with it. */
export function logEnded(
  trx: Knex.Transaction,
  { tracker, logger }: Teller,
  { replicable, claimed }: Batch,
  written: readonly Verdict[],
): void {
  for (const [to, ended] of Map.groupBy(written, (verdict) => verdict.outcome)) {
    const ids = ended.map((verdict) => verdict.id)
    logVerificationMove(trx, logger, tracker.tableOf(replicable), { method: 'record', from: 'started', to }, ids)
    if (to !== 'failed') continue
    const failed = new Set(ids)
    const copies = claimed.filter((record) => record.registryId !== null && failed.has(record.id))
    logSyncMove(trx, logger, replicable, { method: 'record', from: 'synced', to }, copies)
  }
}

/** Bytes that have gone bad on the primary, and good ones that are back, are each told once. */
export function reportCorruption(
  logger: LoggerLike,
  { replicable, claimed }: Batch,
  written: readonly Verdict[],
): void {
  const corruptBefore = new Set(claimed.filter((record) => record.corrupt).map((record) => record.id))
  for (const verdict of written) {
    const { id } = verdict
    const fields = { code: 'CORRUPT_ON_PRIMARY', replicable: replicable.name, id }
    const corrupt = verdict.outcome === 'failed' && verdict.code === 'CORRUPT_ON_PRIMARY'
    if (corrupt && !corruptBefore.has(id)) logger.error(fields, verdict.message)
    if (verdict.outcome === 'succeeded' && corruptBefore.has(id)) {
      logger.info(fields, `${replicable.names.className} #${id} has the bytes of its recorded checksum again`)
    }
  }
}

/** Word of each verdict for whoever listens. */
export function tellVerdicts(
  { signals, clock }: { readonly signals: Signals; readonly clock: Clock },
  { replicable, claimed, claimedAtMs }: Batch & { readonly claimedAtMs: number },
  written: readonly Verdict[],
): void {
  const type = replicable.name
  const seconds = (clock.monotonicMs() - claimedAtMs) / 1000
  const claims = new Map(claimed.map((record) => [record.id, record]))
  for (const verdict of written) {
    const { id } = verdict
    const claim = claims.get(id)
    if (claim?.traceparent) {
      const error = verdict.outcome === 'failed' ? verdict.message : undefined
      const done = { seconds, nowMs: clock.nowMs(), ...(error !== undefined && { error }) }
      traceDone('geo verify', { type, id, traceparent: claim.traceparent }, done)
    }
    if (verdict.outcome === 'succeeded') {
      const site = claim?.registryId == null ? 'primary' : 'secondary'
      const announced = claim?.announcedSecondsAgo ?? null
      const lagSeconds = announced === null ? null : Math.max(0, announced + seconds)
      signals.tell('blob:verified', { type, id, site, seconds, lagSeconds })
    } else if (verdict.outcome === 'failed') {
      const { code, message, retryInSeconds } = verdict
      signals.tell('blob:failed', { type, id, during: 'verification', code, message, retryInSeconds })
    }
  }
}
