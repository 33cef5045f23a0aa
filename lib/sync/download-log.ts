import type { FailedRow, StoredCopy } from '../registry/marks.ts'
import { traceDone } from '../tracing.ts'
import type { DownloadContext, SyncBatch } from './batch.ts'
import type { Findings } from './findings.ts'

/** How the rows of a batch ended. */
export interface EndedRows {
  readonly synced: readonly StoredCopy[]
  readonly failed: readonly FailedRow[]
  /** Of which that could be written: nobody had changed them meanwhile. */
  readonly marked: ReadonlySet<string>
  /** Those of the synced ones that are verified as well. */
  readonly verified: ReadonlySet<string>
}

/** One line for each blob (GB.E.5), and word of it for whoever listens. */
export function tellDownloads(
  { logger, clock, signals }: DownloadContext,
  { replicable, startedAtMs, rows }: SyncBatch,
  { present }: Findings,
  { synced, failed, marked, verified }: EndedRows,
): void {
  const type = replicable.name
  const download_time_s = (clock.monotonicMs() - startedAtMs) / 1000
  const skipped = new Set(present.map((blob) => blob.id))
  const claimed = new Map(rows.map((row) => [row.id, row]))
  const traced = (id: string) => ({ type, id, traceparent: claimed.get(id)?.traceparent ?? null })
  const trace = (id: string, outcome: { error?: string; attributes?: Readonly<Record<string, number | boolean>> }) => {
    const done = { seconds: download_time_s, nowMs: clock.nowMs(), ...outcome }
    traceDone('geo sync', traced(id), done)
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
    if (!verified.has(id)) continue
    traceDone('geo verify', traced(id), { seconds: 0, nowMs: clock.nowMs() })
    const waited = claimed.get(id)?.announcedSecondsAgo ?? null
    const lagSeconds = waited === null ? null : Math.max(0, waited + download_time_s)
    signals.tell('blob:verified', { type, id, site: 'secondary', seconds: download_time_s, lagSeconds })
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
