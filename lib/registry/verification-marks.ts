import type { Knex } from 'knex'
import { type Digest, encodeDigest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { checked, run } from '../databases.ts'
import { truncateFailure } from '../errors.ts'
import type { Verdict } from '../verification/tracker.ts'
import { VERIFICATION_STATE as V, VERIFICATION } from '../verification/verification-state.ts'
import { SYNC, SYNC_STATE } from './sync-state.ts'

/** How the verification of a copy ends for its row. Each statement returns the ids of the rows it wrote. */

export type SucceededVerdict = Extract<Verdict, { outcome: 'succeeded' }>
export type FailedVerdict = Extract<Verdict, { outcome: 'failed' }>
type StartedAt = ReadonlyMap<string, string>

// Still the verification that was claimed: not asked for anew, not taken over, and the copy not replaced meanwhile.
const MINE = checked(
  `r.state = ${SYNC_STATE.synced} and r.verification_state = ${V.started} and r.verification_started_at = m.started_at`,
)

function startsOf(startedAt: StartedAt, verdicts: readonly Verdict[]): (string | null)[] {
  return verdicts.map((verdict) => startedAt.get(verdict.id) ?? null)
}

/** What else is written of a copy with the checksum `m.checksum` once it is verified. */
export const VERIFIED_SET = `verification_checksum = m.checksum, verified_at = clock_timestamp(),
  verification_retry_count = 0, verification_retry_at = null, verification_failure = null,
  checksum_mismatch = false, verification_checksum_mismatched = null, announced_at = null, traceparent = null`

export async function recordSucceeded(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  startedAt: StartedAt,
  verdicts: readonly SucceededVerdict[],
): Promise<string[]> {
  if (verdicts.length === 0) return []
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `update ?? as r set ${VERIFICATION.step('started', 'succeeded').set}, ${VERIFIED_SET}
     from unnest(?::${keyType}[], ?::timestamptz[], ?::bytea[]) as m(id, started_at, checksum)
     where r.?? = m.id and r.?? = any(?::${keyType}[]) and ${MINE}
     returning m.id::text as id`,
    [
      names.registryTable,
      verdicts.map((verdict) => verdict.id),
      startsOf(startedAt, verdicts),
      verdicts.map((verdict) => encodeDigest(verdict.digest)),
      names.foreignKey,
      names.foreignKey,
      verdicts.map((verdict) => verdict.id),
    ],
  )
  return rows.map((row) => row.id)
}

/** A failed verification fails the sync with it, so that the blob is fetched again (GB.A.4). Both retry counts end equal. */
export async function recordFailed(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  startedAt: StartedAt,
  verdicts: readonly FailedVerdict[],
): Promise<string[]> {
  if (verdicts.length === 0) return []
  const digestOf = (digest: Digest | undefined) => (digest ? encodeDigest(digest) : null)
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `update ?? as r set ${VERIFICATION.step('started', 'failed').set}, verification_failure = m.failure, verified_at = clock_timestamp(),
       verification_retry_count = least(r.verification_retry_count + 1, ${HIGHEST_RETRY_COUNT}),
       verification_retry_at = clock_timestamp() + m.retry_in * interval '1 second',
       verification_checksum = m.checksum, verification_checksum_mismatched = m.mismatched,
       checksum_mismatch = m.mismatched is not null,
       ${SYNC.step('synced', 'failed').set}, last_sync_failure = m.sync_failure, error_code = m.code,
       retry_count = least(r.verification_retry_count + 1, ${HIGHEST_RETRY_COUNT}),
       retry_at = clock_timestamp() + m.retry_in * interval '1 second'
     from unnest(?::${keyType}[], ?::timestamptz[], ?::text[], ?::text[], ?::text[], ?::float8[], ?::bytea[], ?::bytea[])
       as m(id, started_at, failure, sync_failure, code, retry_in, checksum, mismatched)
     where r.?? = m.id and r.?? = any(?::${keyType}[]) and ${MINE}
     returning m.id::text as id`,
    [
      names.registryTable,
      verdicts.map((verdict) => verdict.id),
      startsOf(startedAt, verdicts),
      verdicts.map((verdict) => truncateFailure(verdict.message)),
      verdicts.map((verdict) => truncateFailure(`Verification failed with: ${verdict.message}`)),
      verdicts.map((verdict) => verdict.code),
      verdicts.map((verdict) => verdict.retryInSeconds),
      verdicts.map((verdict) => digestOf(verdict.mismatch?.local)),
      verdicts.map((verdict) => digestOf(verdict.mismatch?.expected)),
      names.foreignKey,
      names.foreignKey,
      verdicts.map((verdict) => verdict.id),
    ],
  )
  return rows.map((row) => row.id)
}

export async function recordDisabled(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  startedAt: StartedAt,
  verdicts: readonly Verdict[],
): Promise<string[]> {
  if (verdicts.length === 0) return []
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `update ?? as r set ${VERIFICATION.step('started', 'disabled').set}
     from unnest(?::${keyType}[], ?::timestamptz[]) as m(id, started_at) where r.?? = m.id and r.?? = any(?::${keyType}[]) and ${MINE}
     returning m.id::text as id`,
    [
      names.registryTable,
      verdicts.map((verdict) => verdict.id),
      startsOf(startedAt, verdicts),
      names.foreignKey,
      names.foreignKey,
      verdicts.map((verdict) => verdict.id),
    ],
  )
  return rows.map((row) => row.id)
}
