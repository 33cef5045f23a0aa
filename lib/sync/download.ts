import { checkKey } from '../blob/key.ts'
import { loadKnownBlobs } from '../blob/known-blob.ts'
import { isOfSchema, passesByItself } from '../database-failures.ts'
import { type ErrorCode, GeoError, messageOf } from '../errors.ts'
import type { WantedBlob } from '../transfer/blob-order.ts'
import { BLOBS_PER_REQUEST, SMALL_BLOB_BYTES } from '../transfer/frame.ts'
import { MISSING_ON_PRIMARY, type Refusal } from '../transfer/refusal.ts'
import type { DownloadContext, SyncBatch } from './batch.ts'
import { collect, type Findings, noFindings } from './findings.ts'
import { finish } from './finish.ts'

/**
 * Brings the blobs of a batch over, one request at a time, for a lease is one transfer. Ends with every row synced, failed
 * or given back. Returns why the site should pause its transfers, or null.
 */
export async function downloadBatch(context: DownloadContext, batch: SyncBatch): Promise<Refusal | null> {
  const findings = noFindings()
  try {
    await download(context, batch, findings)
    await finish(context, batch, findings)
  } catch (reason) {
    // Some may have got their names before the end of the batch failed.
    findings.unmarked.push(...findings.received.map(({ id, key }) => ({ id, key })))
    await context.threads.discard(findings.received.splice(0))
    // Who has lost the lease, or is stopping, has nothing to say of its rows any more.
    if (batch.lease.signal.aborted) throw reason
    findings.refusal = siteWide(reason)
    const isOfNoBlob = passesByItself(reason) || isOfSchema(reason)
    if (!findings.refusal && !isOfNoBlob) failRest(context, batch, findings, reason)
    await finish(context, batch, findings).catch((again: unknown) => {
      const code = passesByItself(reason) ? 'DATABASE_UNAVAILABLE' : codeOf(reason)
      const fields = { code, replicable: batch.replicable.name, error: messageOf(reason) }
      context.logger.warn(fields, 'A batch failed, and what came of it could not be written')
      throw again
    })
    if (isOfNoBlob) throw reason
  }
  return findings.refusal
}

// What is wrong with the site is no fault of a blob: the rows are given back, and nothing is counted.
const SITE_WIDE: readonly ErrorCode[] = [
  'NOT_SECONDARY',
  'PRIMARY_UNKNOWN',
  'SITE_UNKNOWN',
  'SECRET_UNDECRYPTABLE',
  'SCOPE_FAILED',
  'STOPPED',
]

function siteWide(reason: unknown): Refusal | null {
  if (!(reason instanceof GeoError) || !SITE_WIDE.includes(reason.code)) return null
  return { kind: 'pause', code: reason.code, message: reason.message }
}

function codeOf(reason: unknown): ErrorCode {
  return reason instanceof GeoError ? reason.code : 'INTERNAL'
}

/** GB.E.5: whatever else goes wrong is counted, for a blob that breaks its batch must not do so again and again at once. */
function failRest(
  { logger }: DownloadContext,
  { replicable, rows }: SyncBatch,
  findings: Findings,
  reason: unknown,
): void {
  const code = codeOf(reason)
  const message = `Error while attempting to sync: ${messageOf(reason)}`
  const settled = new Set([...findings.failed, ...findings.present].map((blob) => blob.id).concat(findings.gone))
  const rest = rows.filter((row) => !settled.has(row.id))
  findings.failed.push(...rest.map(({ id }) => ({ id, code, message })))
  logger.error({ code, replicable: replicable.name, ids: rest.map(({ id }) => id) }, message)
}

async function download(context: DownloadContext, batch: SyncBatch, findings: Findings): Promise<void> {
  const wanted = await leaveOutPresent(context, batch, await decide(context, batch, findings), findings)
  const knownLarge = new Set(batch.rows.filter((row) => (row.bytes ?? 0) > SMALL_BLOB_BYTES).map((row) => row.id))
  const small = wanted.filter((blob) => !knownLarge.has(blob.id))
  const large = wanted.filter((blob) => knownLarge.has(blob.id))
  const foundLarge = await fetchSmall(context, batch, small, findings)
  // Those that were known to be large are together no more than a lease is given. Others are given back with their size, so that other
  // slots share them; one is fetched here and now.
  for (const blob of large.length > 0 ? large : foundLarge.slice(0, 1)) {
    if (findings.refusal) break
    collect(findings, await context.fetcher.fetchOne(batch.replicable, blob, batch.lease), [blob])
  }
}

/** What is wanted of the batch, as the replica has it now. */
async function decide(
  { replica, selection }: DownloadContext,
  { replicable, rows }: SyncBatch,
  findings: Findings,
): Promise<WantedBlob[]> {
  const ids = rows.map((row) => row.id)
  const known = await loadKnownBlobs(replica, replicable, ids, selection())
  const traces = new Map(rows.flatMap(({ id, traceparent }) => (traceparent ? [[id, traceparent]] : [])))
  const wanted: WantedBlob[] = []
  for (const id of ids) {
    const record = known.get(id)
    if (!record?.wanted) {
      findings.gone.push(id)
      continue
    }
    if (record.failure) {
      const { code, message } = record.failure
      findings.failed.push({ id, code, message: `Error while attempting to sync: ${message}` })
      continue
    }
    if (record.key === null) {
      // The row stays wanted, so its registry would only come back.
      findings.failed.push({ id, code: 'FILE_NOT_FOUND', message: MISSING_ON_PRIMARY })
      continue
    }
    const expected = record.checksum.digest
    findings.rowVersions.set(id, record.version)
    try {
      const traceparent = traces.get(id)
      wanted.push({ id, key: checkKey(record.key), expected, ...(traceparent && { traceparent }) })
    } catch (reason) {
      if (!(reason instanceof GeoError)) throw reason
      const message = `Skipping transfer due to validation error: ${reason.message}`
      findings.failed.push({ id, code: reason.code, message })
    }
  }
  return wanted
}

/**
 * A secondary may be filled beforehand by other means: what lies in its place already is hashed, and not fetched where it is
 * right. Only for rows that nothing has happened to (GB.E.3); a later doubt about a copy is settled by fetching it.
 */
async function leaveOutPresent(
  { threads }: DownloadContext,
  { replicable, rows }: SyncBatch,
  wanted: readonly WantedBlob[],
  findings: Findings,
): Promise<readonly WantedBlob[]> {
  if (!replicable.immutable) return wanted
  const brandNew = new Set(rows.filter((row) => row.brandNew).map((row) => row.id))
  const candidates = wanted.filter((blob) => blob.expected && brandNew.has(blob.id))
  if (candidates.length === 0) return wanted
  const { root, durable } = replicable.store
  const sizes = await threads.findPresent({ root, durable, blobs: candidates })
  candidates.forEach(({ id, key }, position) => {
    const bytes = sizes[position] ?? null
    if (bytes !== null) findings.present.push({ id, key, bytes })
  })
  const present = new Set(findings.present.map((blob) => blob.id))
  return wanted.filter((blob) => !present.has(blob.id))
}

/** Asks for small blobs until each has come, has failed, or has turned out to be large; returns the large ones. */
async function fetchSmall(
  { fetcher }: DownloadContext,
  { replicable, lease }: SyncBatch,
  blobs: readonly WantedBlob[],
  findings: Findings,
): Promise<WantedBlob[]> {
  const large: WantedBlob[] = []
  const open = [...blobs]
  while (open.length > 0 && !findings.refusal) {
    const asked = open.splice(0, BLOBS_PER_REQUEST)
    const outcomes = collect(findings, await fetcher.fetchMany(replicable, asked, lease), asked)
    large.push(...asked.filter((blob) => outcomes.get(blob.id)?.outcome === 'large'))
    const later = asked.filter((blob) => outcomes.get(blob.id)?.outcome === 'later')
    if (later.length === asked.length) {
      throw new GeoError('INVALID_RESPONSE', 'The primary put off every blob it was asked for')
    }
    open.unshift(...later)
  }
  return large
}
