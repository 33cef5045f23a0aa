import { type Replicable, sharingStore } from '../blob/replicable.ts'
import { backoffSeconds, type Clock, MISSING_ON_PRIMARY_CAP_S } from '../clock.ts'
import { lockForPlacing } from '../registry/file-lock.ts'
import { lockInOrder } from '../registry/lock-order.ts'
import {
  type FailedRow,
  giveBackRows,
  markFailed,
  markSynced,
  noteSizes,
  noteStrayFiles,
  type SyncedRow,
} from '../registry/marks.ts'
import { requestRemoval } from '../registry/removal.ts'
import { wakeSharers } from '../registry/sharers.ts'
import { traceDone } from '../tracing.ts'
import { logSyncMove, logVerificationMove } from '../transition-log.ts'
import type { DownloadContext, SyncBatch } from './batch.ts'
import type { FailedBlob, Findings, PresentBlob } from './findings.ts'

/**
 * Gives the files their names and writes how each row ended. No file is removed meanwhile. The lease is locked from before the first rename until the
 * marks are committed: no one can take the rows over in between, and a process whose lease has ended marks nothing.
 */
export async function finish(context: DownloadContext, batch: SyncBatch, findings: Findings): Promise<void> {
  const { tracking, leases, threads, logger } = context
  const { replicable, lease, rows } = batch
  const mine = await tracking.transaction(async (trx) => {
    if (!(await leases.hold(trx, lease))) return false
    await lockForPlacing(trx)
    const outcome = await place(context, batch, findings)
    if (!outcome) return false
    const { synced, failed } = outcome
    await lockInOrder(
      trx,
      replicable,
      rows.map((row) => row.id),
    )
    const sharing = sharingStore(context.replicables, replicable)
    const sharers = await wakeSharers(trx, replicable, sharing, received(synced, findings))
    for (const [type, rows] of Map.groupBy(sharers, (row) => row.replicable)) {
      for (const [from, moved] of Map.groupBy(rows, (row) => row.from)) {
        const move = { method: 'wakeSharers', from, to: 'pending' } as const
        const ids = moved.map((row) => row.id)
        logVerificationMove(trx, logger, type.names.registryTable, move, ids)
      }
    }
    const succeeded = await markSynced(trx, replicable, lease.id, synced)
    logSyncMove(trx, logger, replicable, { method: 'markSynced', from: 'started', to: 'synced' }, succeeded)
    const marked = new Set(succeeded.map((row) => row.id))
    await noteStrayFiles(
      trx,
      replicable,
      synced.filter((row) => !marked.has(row.id)),
    )
    const retries = withRetries(batch, failed, context.clock)
    const failedRows = await markFailed(trx, replicable, lease.id, retries)
    logSyncMove(trx, logger, replicable, { method: 'markFailed', from: 'started', to: 'failed' }, failedRows)
    await noteSizes(trx, replicable, findings.sized)
    if (findings.gone.length > 0) await requestRemoval(trx, replicable, findings.gone)
    await giveBackRows(
      trx,
      replicable,
      lease.id,
      rows.map((row) => row.id),
    )
    await leases.release(trx, lease)
    return { synced, failed: retries, marked: new Set([...succeeded, ...failedRows].map((row) => row.id)) }
  })
  if (!mine) await threads.discard(findings.received)
  else tellDownloads(context, batch, findings, mine)
}

/** Those that were fetched: what lay in its place already has replaced nothing. */
function received(synced: readonly SyncedRow[], { present }: Findings): SyncedRow[] {
  const there = new Set(present.map(({ id }) => id))
  return synced.filter(({ id }) => !there.has(id))
}

/** Renames what has arrived. What is marked afterwards, besides what failed before; null where the lease has ended meanwhile. */
async function place(
  { threads }: DownloadContext,
  { replicable, lease }: SyncBatch,
  findings: Findings,
): Promise<{ synced: SyncedRow[]; failed: FailedBlob[] } | null> {
  const { root, durable } = replicable.store
  const task = { root, durable, blobs: findings.received, endsAt: lease.endsAt }
  const placed = findings.received.length > 0 ? await threads.place(task) : []
  if (!placed) return null
  const failed = [...findings.failed]
  const there = await stillPresent(replicable, findings.present)
  findings.received.forEach((blob, position) => {
    const failure = placed[position]
    if (failure) failed.push({ id: blob.id, ...failure })
    else there.push(blob)
  })
  const synced = there.flatMap(({ id, key, bytes }) => {
    const facts = findings.facts.get(id)
    return facts ? [{ id, key, bytes, ...facts }] : []
  })
  return { synced, failed }
}

/** Those of the files that lay in their places already that no removal has taken since: the others are fetched after all. */
async function stillPresent({ store }: Replicable, present: readonly PresentBlob[]): Promise<PresentBlob[]> {
  const found = await Promise.all(present.map(({ key }) => store.stat(key)))
  return present.filter((_, position) => found[position])
}

function withRetries({ rows }: SyncBatch, failed: readonly FailedBlob[], clock: Clock): FailedRow[] {
  const retryCounts = new Map(rows.map((row) => [row.id, row.retryCount]))
  return failed.map((failure) => {
    const cap = failure.code === 'FILE_NOT_FOUND' ? MISSING_ON_PRIMARY_CAP_S : undefined
    const failures = (retryCounts.get(failure.id) ?? 0) + 1
    return { ...failure, retryInSeconds: backoffSeconds(failures, () => clock.random(), cap) }
  })
}

/** One line for each blob (GB.E.5), and word of it for whoever listens. */
function tellDownloads(
  { logger, clock, signals }: DownloadContext,
  { replicable, startedAtMs, rows }: SyncBatch,
  { present }: Findings,
  { synced, failed, marked }: { synced: SyncedRow[]; failed: FailedRow[]; marked: ReadonlySet<string> },
): void {
  const type = replicable.name
  const download_time_s = (clock.monotonicMs() - startedAtMs) / 1000
  const skipped = new Set(present.map((blob) => blob.id))
  const traces = new Map(rows.flatMap(({ id, traceparent }) => (traceparent ? [[id, traceparent]] : [])))
  const trace = (id: string, outcome: { error?: string; attributes?: Readonly<Record<string, number | boolean>> }) => {
    const done = { seconds: download_time_s, nowMs: clock.nowMs(), ...outcome }
    traceDone('geo sync', { type, id, traceparent: traces.get(id) ?? null }, done)
  }
  for (const { id, key, bytes } of synced) {
    const fetched = !skipped.has(id)
    const fields = {
      replicable_name: replicable.name,
      model_record_id: id,
      mark_as_synced: marked.has(id),
      download_success: true,
      bytes_downloaded: fetched ? bytes : 0,
      primary_missing_file: false,
      download_time_s,
      ...(!fetched && { skipped: true }),
    }
    logger.info(fields, 'Blob download')
    if (marked.has(id)) trace(id, { attributes: { 'geo.bytes': bytes, 'geo.fetched': fetched } })
    if (marked.has(id)) signals.tell('blob:synced', { type, id, key, bytes, seconds: download_time_s, fetched })
  }
  for (const { id, code, message, retryInSeconds } of failed) {
    const fields = {
      replicable_name: replicable.name,
      model_record_id: id,
      mark_as_synced: false,
      download_success: false,
      bytes_downloaded: -1,
      primary_missing_file: code === 'FILE_NOT_FOUND',
      download_time_s,
      reason: message,
      code,
    }
    logger.info(fields, 'Blob download')
    if (marked.has(id)) trace(id, { error: `${code}: ${message}` })
    if (marked.has(id)) signals.tell('blob:failed', { type, id, during: 'sync', code, message, retryInSeconds })
  }
}
