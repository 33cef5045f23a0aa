import type { Knex } from 'knex'
import { compareDigests } from '../blob/digest.ts'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import { type Replicable, sharingStore } from '../blob/replicable.ts'
import { isOfStore } from '../blob/writable-stores.ts'
import { backoffSeconds, type Clock, MISSING_ON_PRIMARY_CAP_S } from '../clock.ts'
import { isDatabaseFailure } from '../database-failures.ts'
import { boundedByKey } from '../databases.ts'
import { lockForPlacing, lockForReplacing } from '../registry/file-lock.ts'
import { lockInOrder } from '../registry/lock-order.ts'
import {
  type FailedRow,
  giveBackRows,
  markFailed,
  markSynced,
  markVerified,
  noteSizes,
  noteStrayFiles,
  type SyncedRow,
  type VerifiedRow,
} from '../registry/marks.ts'
import { requestRemoval } from '../registry/removal.ts'
import { wakeSharers } from '../registry/sharers.ts'
import type { ReceivedBlob } from '../transfer/blob-order.ts'
import type { PlaceTask } from '../transfer/place.ts'
import { logSyncMove, logVerificationMove } from '../transition-log.ts'
import type { DownloadContext, SyncBatch } from './batch.ts'
import { type EndedRows, tellDownloads } from './download-log.ts'
import { type FailedBlob, type Findings, noFindings } from './findings.ts'
import { noteFiles, type Outcome, type PlacedCopy, place } from './place-files.ts'

/**
 * Gives the files their names and writes how each row ended. No file is removed meanwhile. The lease is locked from before the
 * first name until the marks are committed: no one can take the rows over in between, and a process whose lease has ended marks
 * nothing. Names that are free come first, side by side with other batches; what is to replace a file waits for its turn alone.
 */
export async function finish(context: DownloadContext, batch: SyncBatch, findings: Findings): Promise<void> {
  if (findings.received.length > 0) await noteFiles(context, batch, findings)
  const occupied = await finishPart(context, batch, findings, 'free')
  if (occupied.length === 0) return
  await finishPart(
    context,
    batch,
    { ...noFindings(), received: [...occupied], rowVersions: findings.rowVersions },
    'any',
  )
}

/** Ends the rows that have findings; returns the blobs whose names were not free, whose rows it leaves as they are. */
async function finishPart(
  context: DownloadContext,
  batch: SyncBatch,
  findings: Findings,
  names: PlaceTask['names'],
): Promise<readonly ReceivedBlob[]> {
  const { tracking, leases, threads } = context
  const { lease } = batch
  const ended = await boundedByKey(tracking, async (trx) => {
    if (!(await leases.hold(trx, lease))) return null
    await (names === 'free' ? lockForPlacing(trx) : lockForReplacing(trx))
    const placed = await place(context, batch, findings, names)
    if (!placed) return null
    const outcome = { ...placed, failed: await ofBlobs(trx, context, batch, findings, placed.failed) }
    const marked = await mark(trx, context, batch, findings, outcome)
    if (outcome.occupied.length === 0) await leases.release(trx, lease)
    return { ...outcome, ...marked }
  })
  if (ended) {
    tellDownloads(context, batch, findings, ended)
    if (ended.synced.some(({ id }) => ended.marked.has(id) && !ended.verified.has(id))) context.verificationAsked()
    return ended.occupied
  }
  await threads.discard(findings.received)
  return []
}

/** The failures that are the blobs' own: rows that failed for their store, or for another one in its place, are given back. */
async function ofBlobs(
  trx: Knex.Transaction,
  { stores, writableStores, siteName }: DownloadContext,
  { replicable, rows }: SyncBatch,
  { sized }: Findings,
  failed: readonly FailedBlob[],
): Promise<readonly FailedBlob[]> {
  const there = failed.filter(({ code }) => code !== 'STORE_NOT_MOUNTED')
  if (!there.some(isOfStore)) return there
  if (await stores.problemNow(replicable, trx, siteName)) return there.filter((failure) => !isOfStore(failure))
  // One whose size nobody knows has come with others, and is small.
  const sizes = new Map([...rows, ...sized].map(({ id, bytes }) => [id, bytes ?? 0]))
  return writableStores.withoutItsOwn(replicable.store.root, there, ({ id }) => sizes.get(id) ?? 0)
}

/** Writes how each row ended, and gives back those of which nothing is known but for the occupied ones. */
async function mark(
  trx: Knex.Transaction,
  context: DownloadContext,
  batch: SyncBatch,
  findings: Findings,
  { synced, failed, occupied, named }: Outcome,
): Promise<Pick<EndedRows, 'failed' | 'marked' | 'verified'>> {
  const { logger } = context
  const { replicable, lease } = batch
  const later = new Set(occupied.map((blob) => blob.id))
  const ids = batch.rows.map((row) => row.id).filter((id) => !later.has(id))
  await lockInOrder(trx, replicable, ids)
  await wakeAllSharers(trx, context, replicable, received(synced, findings))
  const { right, copies } = await judge(context, replicable, synced)
  const verified = await markVerified(trx, replicable, lease.id, right)
  const done = new Set(verified.map((row) => row.id))
  const rest = copies.filter((row) => !done.has(row.id))
  const succeeded = [...verified, ...(await markSynced(trx, replicable, lease.id, rest))]
  logSyncMove(trx, logger, replicable, { method: 'markSynced', from: 'started', to: 'synced' }, succeeded)
  logVerified(trx, logger, replicable, [...done])
  const marked = new Set(succeeded.map((row) => row.id))
  const strays = [...synced.filter((row) => !marked.has(row.id)), ...named, ...findings.unmarked]
  await noteStrayFiles(trx, replicable, strays)
  const retries = withRetries(batch, failed, context.clock)
  const failedRows = await markFailed(trx, replicable, lease.id, retries)
  logSyncMove(trx, logger, replicable, { method: 'markFailed', from: 'started', to: 'failed' }, failedRows)
  for (const row of failedRows) marked.add(row.id)
  await noteSizes(trx, replicable, findings.sized)
  if (findings.gone.length > 0) await requestRemoval(trx, replicable, findings.gone)
  await giveBackRows(
    trx,
    replicable,
    lease.id,
    ids.filter((id) => !marked.has(id)),
  )
  return { failed: retries, marked, verified: done }
}

/**
 * Compares what is stored with what the primary has now. Called once the rows are locked: word of a checksum that comes later finds
 * them marked, and what came earlier is read here. Where the replica does not answer, the copies are verified later like any others.
 */
async function judge(
  { replica }: DownloadContext,
  replicable: Replicable,
  synced: readonly PlacedCopy[],
): Promise<{ right: VerifiedRow[]; copies: SyncedRow[] }> {
  if (synced.length === 0) return { right: [], copies: [] }
  const ids = synced.map((row) => row.id)
  const checksums = await loadPrimaryChecksums(replica, replicable, ids).catch((reason: unknown) => {
    if (isDatabaseFailure(reason)) return null
    throw reason
  })
  const right: VerifiedRow[] = []
  const copies = synced.map(({ digest, ...row }): SyncedRow => {
    const expected = checksums?.get(row.id)?.digest ?? null
    const copy = { ...row, verifiable: checksums === null || expected !== null }
    if (digest && expected && compareDigests(digest, expected) === 'equal') right.push({ ...row, digest })
    return copy
  })
  return { right, copies }
}

async function wakeAllSharers(
  trx: Knex.Transaction,
  { replicables, logger }: DownloadContext,
  replicable: Replicable,
  copies: readonly PlacedCopy[],
): Promise<void> {
  const sharers = await wakeSharers(trx, replicable, sharingStore(replicables, replicable), copies)
  for (const [type, rows] of Map.groupBy(sharers, (row) => row.replicable)) {
    for (const [from, moved] of Map.groupBy(rows, (row) => row.from)) {
      const move = { method: 'wakeSharers', from, to: 'pending' } as const
      const ids = moved.map((row) => row.id)
      logVerificationMove(trx, logger, type.names.registryTable, move, ids)
    }
  }
}

/** The whole verification of rows whose file was hashed as soon as it had its name. */
function logVerified(
  trx: Knex.Transaction,
  logger: DownloadContext['logger'],
  { names }: Replicable,
  ids: readonly string[],
): void {
  const method = 'markVerified'
  logVerificationMove(trx, logger, names.registryTable, { method, from: 'pending', to: 'started' }, ids)
  logVerificationMove(trx, logger, names.registryTable, { method, from: 'started', to: 'succeeded' }, ids)
}

/** Those that were fetched: what lay in its place already has replaced nothing. */
function received(synced: readonly PlacedCopy[], { present }: Findings): PlacedCopy[] {
  const there = new Set(present.map(({ id }) => id))
  return synced.filter(({ id }) => !there.has(id))
}

function withRetries({ rows }: SyncBatch, failed: readonly FailedBlob[], clock: Clock): FailedRow[] {
  const retryCounts = new Map(rows.map((row) => [row.id, row.retryCount]))
  return failed.map((failure) => {
    const cap = failure.code === 'FILE_NOT_FOUND' ? MISSING_ON_PRIMARY_CAP_S : undefined
    const failures = (retryCounts.get(failure.id) ?? 0) + 1
    return { ...failure, retryInSeconds: backoffSeconds(failures, () => clock.random(), cap) }
  })
}
