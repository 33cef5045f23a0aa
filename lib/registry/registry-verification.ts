import type { Knex } from 'knex'
import { type Digest, decodeDigest, encodeDigest } from '../blob/digest.ts'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { run } from '../databases.ts'
import { truncateFailure } from '../errors.ts'
import { claimInShares } from '../verification/claim-shares.ts'
import {
  type ClaimedRecord,
  type HashPlan,
  requireComplete,
  type Verdict,
  type VerificationTracker,
} from '../verification/tracker.ts'
import { VERIFICATION_STATE as V, VERIFICATION, type VerificationState } from '../verification/verification-state.ts'
import { typesWhere } from './claims.ts'
import { SYNC, SYNC_STATE } from './sync-state.ts'
import { verificationPending } from './verification-reset.ts'

/** Verification of a secondary's copies, kept in the registry. Only rows that are synced are ever looked at. */

const HERE = `state = ${SYNC_STATE.synced} and removal_requested_at is null`
const DUE = Object.freeze({
  pending: {
    condition: `${HERE} and ${VERIFICATION.step('pending', 'started').where}`,
    order: 'verified_at nulls first',
  },
  failed: {
    condition: `${HERE} and ${VERIFICATION.step('failed', 'started').where}
      and (verification_retry_at is null or verification_retry_at <= clock_timestamp())`,
    order: 'verification_retry_at nulls first',
  },
})

/**
 * The primary has a new checksum of these records. Rows whose file is still on its way are marked too: see markSynced. Returns
 * the rows with their states before.
 */
export async function wakeVerification(
  db: Knex,
  { names, keyType }: Replicable,
  ids: readonly string[],
): Promise<{ id: string; from: VerificationState }[]> {
  const { rows } = await run<{ rows: { id: string; before: number }[] }>(
    db,
    `with woken as materialized (
       select id as row_id, verification_state as before from ?? where ?? = any(?::${keyType}[]) for update
     )
     update ?? as r set ${verificationPending()} from woken where r.id = row_id returning r.??::text as "id", before`,
    [names.registryTable, names.foreignKey, ids, names.registryTable, names.foreignKey],
  )
  return rows.map(({ id, before }) => ({ id, from: VERIFICATION.named(before) }))
}

export function registryVerification(replica: Knex): VerificationTracker {
  return Object.freeze({
    tableOf: ({ names }: Replicable) => names.registryTable,
    waiting: (db: Knex, replicables: readonly Replicable[]) =>
      typesWhere(
        db,
        replicables,
        `(exists (select from ?? where ${DUE.pending.condition}) or exists (select from ?? where ${DUE.failed.condition}))`,
        2,
      ),

    claim: (trx: Knex.Transaction, replicable: Replicable, limit: number) =>
      claimInShares(
        limit,
        (upTo) => claimDue(trx, replicable, 'pending', upTo),
        (upTo) => claimDue(trx, replicable, 'failed', upTo),
      ),

    async plan(replicable: Replicable, claimed: readonly ClaimedRecord[]): Promise<HashPlan[]> {
      const checksums = await loadPrimaryChecksums(
        replica,
        replicable,
        claimed.map((record) => record.id),
      )
      return claimed.map(({ id, storedKey }): HashPlan => {
        const expected = checksums.get(id)?.digest ?? null
        if (!expected || storedKey === null) return { id, key: null, verdict: { id, outcome: 'disabled' } }
        return { id, key: storedKey, algorithm: expected.algorithm, expected }
      })
    },

    async record(
      trx: Knex.Transaction,
      replicable: Replicable,
      claimed: readonly ClaimedRecord[],
      verdicts: readonly Verdict[],
    ): Promise<readonly string[]> {
      requireComplete(verdicts)
      const startedAt = new Map(claimed.map((record) => [record.id, record.startedAt]))
      const of = (outcome: Verdict['outcome']) => verdicts.filter((verdict) => verdict.outcome === outcome)
      return [
        ...(await recordSucceeded(trx, replicable, startedAt, of('succeeded') as Succeeded[])),
        ...(await recordFailed(trx, replicable, startedAt, of('failed') as Failed[])),
        ...(await recordDisabled(trx, replicable, startedAt, of('disabled'))),
      ]
    },

    async takeOver(
      trx: Knex.Transaction,
      { names, keyType }: Replicable,
      ids: readonly string[],
      retryInSeconds: number,
    ): Promise<string[]> {
      // The copy is not at fault: the sync state stays, unlike after a failed verification.
      const { rows } = await run<{ rows: { id: string }[] }>(
        trx,
        `update ?? set ${LOST.set},
           verification_failure = coalesce(verification_failure, 'The process that hashed this blob stopped answering'),
           verification_retry_at = clock_timestamp()
             + case when verification_retry_count = 0 then interval '0' else ? * interval '1 second' end,
           verification_retry_count = least(verification_retry_count + 1, ${HIGHEST_RETRY_COUNT})
         where ?? = any(?::${keyType}[]) and ${LOST.where}
         returning ??::text as id`,
        [names.registryTable, retryInSeconds, names.foreignKey, ids, names.foreignKey],
      )
      return rows.map((row) => row.id)
    },

    async giveBack(trx: Knex.Transaction, { names, keyType }: Replicable, ids: readonly string[]): Promise<void> {
      await run(trx, `update ?? set ${GIVEN_BACK.set} where ?? = any(?::${keyType}[]) and ${GIVEN_BACK.where}`, [
        names.registryTable,
        names.foreignKey,
        ids,
      ])
    },
  })
}

const LOST = VERIFICATION.step('started', 'failed')
const GIVEN_BACK = VERIFICATION.step('started', 'pending')

type Succeeded = Extract<Verdict, { outcome: 'succeeded' }>
type Failed = Extract<Verdict, { outcome: 'failed' }>
type StartedAt = ReadonlyMap<string, string>

async function claimDue(
  trx: Knex.Transaction,
  { names }: Replicable,
  from: ClaimedRecord['from'],
  limit: number,
): Promise<ClaimedRecord[]> {
  const { condition, order } = DUE[from]
  const { rows } = await run<{
    rows: (Omit<ClaimedRecord, 'from' | 'recorded' | 'corrupt' | 'unreadable'> & { checksum: Buffer | null })[]
  }>(
    trx,
    `with due as materialized (select id from ?? where ${condition} order by ${order} limit ? for update skip locked)
     update ?? as r set ${VERIFICATION.step('pending', 'started').set}, verification_started_at = transaction_timestamp()
     from due where r.id = due.id
     returning r.??::text as "id", r.id::text as "registryId", r.verification_started_at::text as "startedAt", r.blob_key as "storedKey",
       r.verification_retry_count as "retryCount", r.verification_checksum as "checksum"`,
    [names.registryTable, limit, names.registryTable, names.foreignKey],
  )
  return rows.map(({ checksum, ...row }) => ({
    ...row,
    from,
    recorded: decodeDigest(checksum),
    corrupt: false,
    unreadable: false,
  }))
}

// Still the verification that was claimed: not asked for anew, not taken over, and the copy not replaced meanwhile.
const MINE = `r.state = ${SYNC_STATE.synced} and r.verification_state = ${V.started} and r.verification_started_at = m.started_at`

function startsOf(startedAt: StartedAt, verdicts: readonly Verdict[]): (string | null)[] {
  return verdicts.map((verdict) => startedAt.get(verdict.id) ?? null)
}

async function recordSucceeded(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  startedAt: StartedAt,
  verdicts: readonly Succeeded[],
): Promise<string[]> {
  if (verdicts.length === 0) return []
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `update ?? as r set ${VERIFICATION.step('started', 'succeeded').set}, verification_checksum = m.checksum, verified_at = clock_timestamp(),
       verification_retry_count = 0, verification_retry_at = null, verification_failure = null,
       checksum_mismatch = false, verification_checksum_mismatched = null
     from unnest(?::${keyType}[], ?::timestamptz[], ?::bytea[]) as m(id, started_at, checksum)
     where r.?? = m.id and ${MINE} returning m.id::text as id`,
    [
      names.registryTable,
      verdicts.map((verdict) => verdict.id),
      startsOf(startedAt, verdicts),
      verdicts.map((verdict) => encodeDigest(verdict.digest)),
      names.foreignKey,
    ],
  )
  return rows.map((row) => row.id)
}

/** A failed verification fails the sync with it, so that the blob is fetched again (GB.A.4). Both retry counts end equal. */
async function recordFailed(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  startedAt: StartedAt,
  verdicts: readonly Failed[],
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
     where r.?? = m.id and ${MINE} returning m.id::text as id`,
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
    ],
  )
  return rows.map((row) => row.id)
}

async function recordDisabled(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  startedAt: StartedAt,
  verdicts: readonly Verdict[],
): Promise<string[]> {
  if (verdicts.length === 0) return []
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `update ?? as r set ${VERIFICATION.step('started', 'disabled').set}
     from unnest(?::${keyType}[], ?::timestamptz[]) as m(id, started_at) where r.?? = m.id and ${MINE} returning m.id::text as id`,
    [names.registryTable, verdicts.map((verdict) => verdict.id), startsOf(startedAt, verdicts), names.foreignKey],
  )
  return rows.map((row) => row.id)
}
