import type { Knex } from 'knex'
import { decodeDigest, encodeDigest } from '../blob/digest.ts'
import { loadPrimaryChecksums, type PrimaryChecksum } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { anyOf, checked, run } from '../databases.ts'
import { type DrawnPage, type DrawRequest, drawPage } from '../verification/draw-page.ts'
import { claimInShares, HASH_WAITING, RETRY_WAITING } from '../verification/due-ranges.ts'
import {
  type ClaimedRecord,
  type HashPlan,
  requireComplete,
  type Verdict,
  type VerificationTracker,
} from '../verification/tracker.ts'
import { VERIFICATION, VERIFICATION_STATE, type VerificationState } from '../verification/verification-state.ts'
import { anyWaits, type LookedAt, waitingTypes } from '../waiting-types.ts'
import { lockInOrder } from './lock-order.ts'
import { SYNC_STATE } from './sync-state.ts'
import {
  type FailedVerdict,
  recordDisabled,
  recordFailed,
  recordSucceeded,
  type SucceededVerdict,
} from './verification-marks.ts'
import { verificationPending } from './verification-reset.ts'

/** Verification of a secondary's copies, kept in the registry. Only rows that are synced are ever looked at. */

const HERE = `state = ${SYNC_STATE.synced} and removal_requested_at is null`
/** Nothing of it would change. */
const WAITS = `r.verification_state = ${VERIFICATION_STATE.pending} and r.verification_failure is null`
const here = (range: LookedAt): LookedAt => ({ ...range, condition: `${HERE} and ${range.condition}` })
const WAITING_HERE = HASH_WAITING.map(here)
const RETRY_WAITING_HERE = here(RETRY_WAITING)
const VERIFIED = `${HERE} and ${VERIFICATION.step('succeeded', 'started').where}`

/**
 * The primary may have a new checksum of these records. Rows whose file is on its way are left alone: whoever brings it looks at
 * the checksum once the row is locked, and the caller has locked the rows before. A copy that was verified by the checksum in
 * `judgedBy` stays as it is: word of a checksum may come after the copy was judged by it, and a row that waits already is not
 * written again. Returns the rows that were, with their states before.
 */
export async function wakeVerification(
  db: Knex,
  { names, keyType }: Replicable,
  ids: readonly string[],
  judgedBy: ReadonlyMap<string, PrimaryChecksum> = new Map(),
): Promise<{ id: string; from: VerificationState }[]> {
  const checksums = ids.map((id) => judgedBy.get(id)?.digest ?? null)
  const { rows } = await run<{ rows: { id: string; before: number }[] }>(
    db,
    `with woken as materialized (
       select r.id as row_id, r.verification_state as before
       from ?? as r join unnest(?::${keyType}[], ?::bytea[]) as p(id, checksum) on r.?? = p.id
       where r.?? = any(?::${keyType}[])
         and (${VERIFIED} and r.verification_checksum = p.checksum) is not true and not (${WAITS})
         and r.state <> ${SYNC_STATE.started} order by r.id for update of r
     )
     update ?? as r set ${verificationPending()} from woken
     where r.id = row_id and r.id = ${anyOf('woken', 'row_id')} returning r.??::text as "id", before`,
    [
      names.registryTable,
      ids,
      checksums.map((digest) => digest && encodeDigest(digest)),
      names.foreignKey,
      names.foreignKey,
      ids,
      names.registryTable,
      names.foreignKey,
    ],
  )
  return rows.map(({ id, before }) => ({ id, from: VERIFICATION.named(before) }))
}

export function registryVerification(replica: Knex): VerificationTracker {
  return Object.freeze({
    tableOf: ({ names }: Replicable) => names.registryTable,
    waiting: (db: Knex, replicables: readonly Replicable[]) =>
      waitingTypes(db, replicables, ({ names }) => names.registryTable, WAITING_HERE),

    claim: (trx: Knex.Transaction, replicable: Replicable, limit: number) =>
      claimInShares(
        limit,
        () => anyWaits(trx, replicable.names.registryTable, RETRY_WAITING_HERE),
        (from, { condition, order }, upTo) =>
          claimFound(trx, replicable, from, `${HERE} and ${condition} order by ${order} limit ?`, [upTo]),
      ),

    claimVerified: (trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]) =>
      claimFound(trx, replicable, 'succeeded', `${VERIFIED} and ?? = any(?::${replicable.keyType}[])`, [
        replicable.names.foreignKey,
        ids,
      ]),

    draw(db: Knex, { names }: Replicable, request: DrawRequest): Promise<DrawnPage> {
      const rows = (trx: Knex) =>
        trx(names.registryTable).select(
          trx.raw(`id as key, ??::text as id, ${VERIFIED} as verified`, [names.foreignKey]),
        )
      return drawPage(db, rows, 'bigint', request)
    },

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
      await lockInOrder(
        trx,
        replicable,
        verdicts.map(({ id }) => id),
      )
      const startedAt = new Map(claimed.map((record) => [record.id, record.startedAt]))
      const of = (outcome: Verdict['outcome']) => verdicts.filter((verdict) => verdict.outcome === outcome)
      return [
        ...(await recordSucceeded(trx, replicable, startedAt, of('succeeded') as SucceededVerdict[])),
        ...(await recordFailed(trx, replicable, startedAt, of('failed') as FailedVerdict[])),
        ...(await recordDisabled(trx, replicable, startedAt, of('disabled'))),
      ]
    },

    async takeOver(
      trx: Knex.Transaction,
      replicable: Replicable,
      ids: readonly string[],
      retryInSeconds: number,
    ): Promise<string[]> {
      const { names, keyType } = replicable
      await lockInOrder(trx, replicable, ids)
      // The copy is not at fault: the sync state stays, unlike after a failed verification.
      const { rows } = await run<{ rows: { id: string }[] }>(
        trx,
        `update ?? set ${LOST.set},
           verification_failure = coalesce(verification_failure, 'The process that hashed this blob stopped answering'),
           verification_retry_at = clock_timestamp()
             + case when verification_retry_count = 0 then interval '0' else ? * interval '1 second' end,
           verification_retry_count = least(verification_retry_count + 1, ${HIGHEST_RETRY_COUNT})
         where ?? = any(?::${keyType}[]) and ${checked(LOST.where)}
         returning ??::text as id`,
        [names.registryTable, retryInSeconds, names.foreignKey, ids, names.foreignKey],
      )
      return rows.map((row) => row.id)
    },

    async giveBack(trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]): Promise<void> {
      const { names, keyType } = replicable
      await lockInOrder(trx, replicable, ids)
      await run(
        trx,
        `update ?? set ${GIVEN_BACK.set} where ?? = any(?::${keyType}[]) and ${checked(GIVEN_BACK.where)}`,
        [names.registryTable, names.foreignKey, ids],
      )
    },
  })
}

const LOST = VERIFICATION.step('started', 'failed')
const GIVEN_BACK = VERIFICATION.step('started', 'pending')

async function claimFound(
  trx: Knex.Transaction,
  { names }: Replicable,
  from: ClaimedRecord['from'],
  condition: string,
  bindings: readonly unknown[],
): Promise<ClaimedRecord[]> {
  const { rows } = await run<{
    rows: (Omit<ClaimedRecord, 'from' | 'recorded' | 'corrupt' | 'unreadable'> & { checksum: Buffer | null })[]
  }>(
    trx,
    `with due as materialized (select id from ?? where ${condition} for update skip locked)
     update ?? as r set ${VERIFICATION.step('pending', 'started').set}, verification_started_at = transaction_timestamp()
     from due where r.id = due.id and r.id = ${anyOf('due')}
     returning r.??::text as "id", r.id::text as "registryId", r.verification_started_at::text as "startedAt", r.blob_key as "storedKey",
       extract(epoch from clock_timestamp() - r.announced_at)::float8 as "announcedSecondsAgo", r.traceparent,
       r.verification_retry_count as "retryCount", r.verification_checksum as "checksum"`,
    [names.registryTable, ...bindings, names.registryTable, names.foreignKey],
  )
  return rows.map(({ checksum, ...row }) => ({
    ...row,
    from,
    recorded: decodeDigest(checksum),
    corrupt: false,
    unreadable: false,
  }))
}
