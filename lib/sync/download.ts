import type { Knex } from 'knex'
import { checkKey } from '../blob/key.ts'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { CurrentSelection } from '../blob/selective-sync.ts'
import { loadSource } from '../blob/source.ts'
import { backoffSeconds, type Clock, MISSING_ON_PRIMARY_CAP_S } from '../clock.ts'
import { type ErrorCode, GeoError } from '../errors.ts'
import type { Lease, Leases } from '../lease.ts'
import type { LoggerLike } from '../log.ts'
import type { ClaimedRow } from '../registry/claims.ts'
import {
  type FailedRow,
  giveBackRows,
  markFailed,
  markSynced,
  noteSizes,
  type SizedRow,
  type SyncedRow,
} from '../registry/marks.ts'
import { requestRemoval } from '../registry/removal.ts'
import type { ReceivedBlob, ReceiveOutcome, ReceiveResult, WantedBlob } from '../transfer/blob-order.ts'
import type { Fetcher } from '../transfer/fetch.ts'
import { SMALL_BLOB_BYTES } from '../transfer/frame.ts'
import type { Refusal } from '../transfer/refusal.ts'
import type { TransferThreads } from '../transfer/threads.ts'
import { logSyncMove } from '../transition-log.ts'

export interface DownloadContext {
  readonly replica: Knex
  readonly tracking: Knex
  readonly leases: Leases
  readonly fetcher: Fetcher
  readonly threads: TransferThreads
  readonly clock: Clock
  readonly selection: CurrentSelection
  readonly logger: LoggerLike
}

export interface SyncBatch {
  readonly replicable: Replicable
  readonly lease: Lease
  readonly rows: readonly ClaimedRow[]
}

/** What has been found out about the rows of a batch; rows that no list names are given back. */
interface Findings {
  readonly received: ReceivedBlob[]
  readonly failed: { id: string; code: ErrorCode; message: string }[]
  readonly sized: SizedRow[]
  readonly gone: string[]
  refusal: Refusal | null
}

/**
 * Brings the blobs of a batch over, one request at a time, for a lease is one transfer. Ends with every row synced, failed
 * or given back. Returns why the site should pause its transfers, or null.
 */
export async function downloadBatch(context: DownloadContext, batch: SyncBatch): Promise<Refusal | null> {
  const findings: Findings = { received: [], failed: [], sized: [], gone: [], refusal: null }
  try {
    await download(context, batch, findings)
  } catch (reason) {
    await context.threads.discard(findings.received)
    throw reason
  }
  return findings.refusal
}

async function download(context: DownloadContext, batch: SyncBatch, findings: Findings): Promise<void> {
  const { wanted, facts } = await decide(context, batch, findings)
  const knownLarge = new Set(batch.rows.filter((row) => (row.bytes ?? 0) > SMALL_BLOB_BYTES).map((row) => row.id))
  const small = wanted.filter((blob) => !knownLarge.has(blob.id))
  const large = wanted.filter((blob) => knownLarge.has(blob.id))
  const foundLarge = await fetchSmall(context, batch, small, findings)
  // Large ones are given back with their size, so that other slots share them; one is fetched here and now.
  const [first] = [...large, ...foundLarge]
  if (first && !findings.refusal) {
    collect(findings, await context.fetcher.fetchOne(batch.replicable, first, batch.lease), [first])
  }
  await finish(context, batch, findings, facts)
}

/** What is written of the records once they are here, as it was when it was decided to fetch them. */
type RecordFacts = ReadonlyMap<string, Pick<SyncedRow, 'verifiable' | 'rowVersion'>>

/** What is wanted of the batch, as the replica has it now. */
async function decide(
  { replica, selection }: DownloadContext,
  { replicable, rows }: SyncBatch,
  findings: Findings,
): Promise<{ wanted: WantedBlob[]; facts: RecordFacts }> {
  const ids = rows.map((row) => row.id)
  const source = await loadSource(replica, replicable, ids, selection())
  const checksums = await loadPrimaryChecksums(replica, replicable, ids)
  const wanted: WantedBlob[] = []
  for (const id of ids) {
    const record = source.get(id)
    if (!record?.wanted || record.key === null) {
      findings.gone.push(id)
      continue
    }
    try {
      wanted.push({ id, key: checkKey(record.key), expected: checksums.get(id)?.digest ?? null })
    } catch (reason) {
      if (!(reason instanceof GeoError)) throw reason
      findings.failed.push({ id, code: reason.code, message: reason.message })
    }
  }
  const facts = [...source.values()].map(({ id, version }) => {
    const verifiable = Boolean(checksums.get(id)?.digest)
    return [id, { verifiable, rowVersion: version }] as const
  })
  return { wanted, facts: new Map(facts) }
}

/** Asks for small blobs until each has come, has failed, or has turned out to be large; returns the large ones. */
async function fetchSmall(
  { fetcher }: DownloadContext,
  { replicable, lease }: SyncBatch,
  blobs: readonly WantedBlob[],
  findings: Findings,
): Promise<WantedBlob[]> {
  const large: WantedBlob[] = []
  let open = blobs
  while (open.length > 0 && !findings.refusal) {
    const outcomes = collect(findings, await fetcher.fetchMany(replicable, open, lease), open)
    large.push(...open.filter((blob) => outcomes.get(blob.id)?.outcome === 'large'))
    const later = open.filter((blob) => outcomes.get(blob.id)?.outcome === 'later')
    if (later.length === open.length) {
      throw new GeoError('INVALID_RESPONSE', 'The primary put off every blob it was asked for')
    }
    open = later
  }
  return large
}

function collect(findings: Findings, result: ReceiveResult, asked: readonly WantedBlob[]): Map<string, ReceiveOutcome> {
  const outcomes = new Map(result.outcomes.map((outcome) => [outcome.id, outcome]))
  for (const outcome of result.outcomes) {
    if (outcome.outcome === 'received') findings.received.push(outcome)
    else if (outcome.outcome === 'failed') findings.failed.push(outcome)
    else findings.sized.push(outcome)
  }
  const { refusal } = result
  if (refusal?.kind === 'failed') {
    for (const { id } of asked)
      if (!outcomes.has(id)) findings.failed.push({ id, code: refusal.code, message: refusal.message })
  } else if (refusal) findings.refusal = refusal
  return outcomes
}

/**
 * Gives the files their names and writes how each row ended. The lease is locked from before the first rename until the
 * marks are committed: no one can take the rows over in between, and a process whose lease has ended marks nothing.
 */
async function finish(
  { tracking, leases, threads, clock, logger }: DownloadContext,
  { replicable, lease, rows }: SyncBatch,
  findings: Findings,
  facts: RecordFacts,
): Promise<void> {
  const retryCounts = new Map(rows.map((row) => [row.id, row.retryCount]))
  const failures: FailedRow[] = findings.failed.map((failure) => {
    const cap = failure.code === 'FILE_NOT_FOUND' ? MISSING_ON_PRIMARY_CAP_S : undefined
    return {
      ...failure,
      retryInSeconds: backoffSeconds((retryCounts.get(failure.id) ?? 0) + 1, () => clock.random(), cap),
    }
  })
  const mine = await tracking.transaction(async (trx) => {
    if (!(await leases.hold(trx, lease))) return false
    const { store } = replicable
    const placed = findings.received.length
      ? await threads.place({ root: store.root, durable: store.durable, blobs: findings.received })
      : []
    const synced: SyncedRow[] = []
    findings.received.forEach((blob, position) => {
      const failure = placed[position]
      const fact = facts.get(blob.id)
      if (!failure && fact) synced.push({ id: blob.id, key: blob.key, bytes: blob.bytes, ...fact })
      else if (failure) {
        const retryInSeconds = backoffSeconds((retryCounts.get(blob.id) ?? 0) + 1, () => clock.random())
        failures.push({ id: blob.id, ...failure, retryInSeconds })
      }
    })
    const succeeded = await markSynced(trx, replicable, lease.id, synced)
    logSyncMove(trx, logger, replicable, { method: 'markSynced', from: 'started', to: 'synced' }, succeeded)
    const failed = await markFailed(trx, replicable, lease.id, failures)
    logSyncMove(trx, logger, replicable, { method: 'markFailed', from: 'started', to: 'failed' }, failed)
    await noteSizes(trx, replicable, findings.sized)
    if (findings.gone.length > 0) await requestRemoval(trx, replicable, findings.gone)
    await giveBackRows(
      trx,
      replicable,
      lease.id,
      rows.map((row) => row.id),
    )
    await leases.release(trx, lease)
    return true
  })
  if (!mine) await threads.discard(findings.received)
}
