import type { Knex } from 'knex'
import { encodeDigest } from '../blob/digest.ts'
import { CORRUPT_PREFIX, stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { checked, run } from '../databases.ts'
import { truncateFailure } from '../errors.ts'
import { giveWay } from '../give-way.ts'
import { type DrawnPage, type DrawRequest, drawPage } from './draw-page.ts'
import { LOST_TEXT } from './failure-text.ts'
import { type ClaimedRecord, requireComplete, type Verdict } from './tracker.ts'
import { VERIFICATION_STATE as V, VERIFICATION } from './verification-state.ts'

/**
 * The door to the primary's verification state, in `<name>_states` or in columns of the host's table. The host may keep any of these
 * rows locked for as long as it likes: whoever writes several of them gives way.
 */

const SUCCEEDED = VERIFICATION.step('succeeded', 'started').where

/** The records of one page, and whether they are verified. */
export function drawPrimary(main: Knex, replicable: Replicable, request: DrawRequest): Promise<DrawnPage> {
  const { table, key } = stateTableOf(replicable)
  const rows = (db: Knex) => {
    const states = replicable.verificationState === 'separate' ? db(table) : wantedRows(db, replicable, null)
    return states.select(db.raw(`?? as key, ??::text as id, ${SUCCEEDED} as verified`, [key, key]))
  }
  return drawPage(main, rows, replicable.keyType, request)
}

/** Writes the verdicts on records that are still started since their claim; returns the ids of those. */
export async function recordPrimary(
  trx: Knex.Transaction,
  replicable: Replicable,
  claimed: readonly ClaimedRecord[],
  verdicts: readonly Verdict[],
): Promise<string[]> {
  requireComplete(verdicts)
  const { table, key } = stateTableOf(replicable)
  const claims = new Map(claimed.map((record) => [record.id, record]))
  // What is said of failures alone ends with the last of them: from there on it is null.
  const failed = verdicts.filter((verdict) => verdict.outcome === 'failed')
  const ordered = [...failed, ...verdicts.filter(({ outcome }) => outcome !== 'failed')]
  // One moment, for they were claimed in one transaction. Who asks for one of them again changes its state.
  const startedAt = new Set(claimed.map((record) => record.startedAt))
  await giveWay(trx)
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    // A failure never clears or replaces a recorded checksum: it is what other copies are judged by.
    `update ?? as s set verification_state = m.state,
       verified_at = case when m.state = ${V.disabled} then s.verified_at else clock_timestamp() end,
       verification_checksum = coalesce(m.checksum, s.verification_checksum),
       verification_failure = case when m.still_corrupt or m.state = ${V.disabled} then s.verification_failure
         else m.failure end,
       verification_retry_count = case m.state when ${V.succeeded} then 0
         when ${V.failed} then least(coalesce(s.verification_retry_count, 0) + 1, ${HIGHEST_RETRY_COUNT})
         else s.verification_retry_count end,
       verification_retry_at = case when m.state = ${V.disabled} then s.verification_retry_at
         else clock_timestamp() + m.retry_in * interval '1 second' end
     from unnest(?::${replicable.keyType}[], ?::smallint[], ?::bytea[], ?::text[], ?::boolean[], ?::float8[])
       as m(id, state, checksum, failure, still_corrupt, retry_in)
     where s.?? = m.id and s.?? = any(?::${replicable.keyType}[])
       and ${checked(`s.verification_state = ${V.started} and s.verification_started_at = any(?::timestamptz[])`)}
     returning s.??::text as id`,
    [
      table,
      ordered.map((verdict) => verdict.id),
      ordered.map((verdict) => V[verdict.outcome]),
      ordered.map((verdict) => (verdict.outcome === 'succeeded' ? encodeDigest(verdict.digest) : null)),
      failed.map(failureText),
      failed.map((verdict) => isStillCorrupt(claims.get(verdict.id), verdict)),
      failed.map((verdict) => verdict.retryInSeconds),
      key,
      key,
      ordered.map((verdict) => verdict.id),
      [...startedAt],
      key,
    ],
  )
  return rows.map((row) => row.id)
}

/** Bytes that were found bad stay so, and unserved, while a disk that cannot be read tells nothing of them. */
function isStillCorrupt(claim: ClaimedRecord | undefined, verdict: Verdict): boolean {
  if (!claim?.corrupt || verdict.outcome !== 'failed') return false
  return verdict.code !== 'CORRUPT_ON_PRIMARY' && verdict.code !== 'FILE_MISSING'
}

function failureText({ code, message }: { code: string; message: string }): string {
  return truncateFailure(code === CORRUPT_PREFIX ? `${CORRUPT_PREFIX}: ${message}` : message)
}

const LOST = VERIFICATION.step('started', 'failed')
const GIVEN_BACK = VERIFICATION.step('started', 'pending')

export async function takeOverPrimary(
  trx: Knex.Transaction,
  replicable: Replicable,
  ids: readonly string[],
  retryInSeconds: number,
): Promise<string[]> {
  const { table, key } = stateTableOf(replicable)
  await giveWay(trx)
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `update ?? set ${LOST.set},
       verification_failure = coalesce(verification_failure, '${LOST_TEXT}'),
       verification_retry_at = clock_timestamp()
         + case when coalesce(verification_retry_count, 0) = 0 then interval '0' else ? * interval '1 second' end,
       verification_retry_count = least(coalesce(verification_retry_count, 0) + 1, ${HIGHEST_RETRY_COUNT})
     where ?? = any(?::${replicable.keyType}[]) and ${checked(LOST.where)}
     returning ??::text as id`,
    [table, retryInSeconds, key, ids, key],
  )
  return rows.map((row) => row.id)
}

export async function giveBackPrimary(
  trx: Knex.Transaction,
  replicable: Replicable,
  ids: readonly string[],
): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  await giveWay(trx)
  await run(
    trx,
    `update ?? set ${GIVEN_BACK.set} where ?? = any(?::${replicable.keyType}[]) and ${checked(GIVEN_BACK.where)}`,
    [table, key, ids],
  )
}

/** What is recorded of a former file is void. */
export const RESET = `verification_state = ${V.pending}, verification_checksum = null, verification_failure = null,
  verification_retry_count = 0, verification_retry_at = null`

/** In the host's transaction: what is recorded of the row's former file is void. Adds no state where there is none. */
export async function forgetChecksum(trx: Pick<Knex, 'raw'>, replicable: Replicable, recordId: string): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  await run(trx, `update ?? set ${RESET} where ?? = ?::text::${replicable.keyType}`, [table, key, recordId])
}

// The event `pending` of GB.B.1: from failed the retry fields stay, so that the backoff keeps growing.
const TO_PENDING = `verification_state = ${V.pending}, verification_failure = null,
  verification_retry_count = case when s.verification_state = ${V.failed} then s.verification_retry_count else 0 end,
  verification_retry_at = case when s.verification_state = ${V.failed} then s.verification_retry_at end`

/**
 * In the host's transaction: the row is new or has a new file (GB.B.8). A changed file loses its recorded checksum, for that
 * was of other bytes; the host says so by calling `updated`. A row that is told of as created once more is hashed again,
 * unless its bytes cannot have changed and their checksum is known.
 */
export async function awaitChecksum(
  trx: Pick<Knex, 'raw'>,
  replicable: Replicable,
  recordId: string,
  change: 'created' | 'updated',
  available: Knex.QueryBuilder,
): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  const again = replicable.immutable ? 'and s.verification_checksum is null' : ''
  if (replicable.verificationState === 'columns') {
    if (change === 'updated') return forgetChecksum(trx, replicable, recordId)
    await run(
      trx,
      `update ?? as s set ${TO_PENDING}
       where s.?? = ?::text::${replicable.keyType} and s.verification_state <> ${V.pending} ${again}`,
      [table, key, recordId],
    )
    return
  }
  await run(
    trx,
    `insert into ?? as s (??) select id from (?) as available(id)
     on conflict (??) do update set ${change === 'updated' ? RESET : `${TO_PENDING} where s.verification_state <> ${V.pending} ${again}`}`,
    [table, key, available, key],
  )
}
