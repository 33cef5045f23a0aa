import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import type { SourcePage } from '../../lib/blob/source-page.ts'
import { walkRange } from '../../lib/key-walk.ts'
import { resyncWalk, reverifyWalk } from '../../lib/registry/bulk.ts'
import { claimRows } from '../../lib/registry/claims.ts'
import { markSynced } from '../../lib/registry/marks.ts'
import { resyncMoved, wakeUnverified } from '../../lib/registry/mend.ts'
import { cancelRemovals, resyncRecords } from '../../lib/registry/registry.ts'
import { registryVerification, wakeVerification } from '../../lib/registry/registry-verification.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { failTimedOutVerifications } from '../../lib/registry/timeouts.ts'
import type { ClaimedRecord, Verdict } from '../../lib/verification/tracker.ts'
import {
  VERIFICATION_STATE as V,
  VERIFICATION,
  type VerificationState,
} from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, registryRow, secondsFromNow, untyped } from '../support/fixture-rows.ts'
import { type Columns, type Door, itGoesThroughEveryPair, secondsAhead } from '../support/transition-table.ts'

const declared = declareReplicables('unused')
const LEASE = '5'
const STARTED_AT = '2024-02-29 10:00:00.123456+00'
const HIGHEST = 32_767
const WHOLE_TABLE = { after: null, upTo: '9223372036854775807', limit: 10 }
const digest = (hex: string) => ({ algorithm: 'xxh64', hex }) as const

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

const claimed = (id: string) => ({ id, startedAt: STARTED_AT }) as ClaimedRecord

/** What becomes of a copy that is to be fetched again. */
const resynced = { verification_state: V.disabled, state: S.pending, retry_count: 0, retry_at: null }

/** A page of the host's rows with this one alone, and a checksum that no copy has. */
function pageOf(id: string): SourcePage {
  return { keys: `{${id}}`, versions: '{78}', checksums: '{"\\\\x01cc"}' }
}

/** A row about to be synced: its lease is held, and its verification says what it was before. */
const fetched = { state: S.started, lease_id: LEASE }

/** What any word of a new checksum does: from failed the retry fields stay, so that the backoff keeps growing. */
function toPending(from: VerificationState): Columns {
  const pending = { verification_state: V.pending, verification_failure: null }
  if (from === 'failed' || from === 'pending') return pending
  return {
    ...pending,
    verification_retry_count: 0,
    verification_retry_at: null,
    checksum_mismatch: false,
    verification_checksum_mismatched: null,
  }
}

/** Each function through which a registry row changes its verification state. */
function doorsOf(replicable: Replicable, id: string): Door<VerificationState>[] {
  const { tracking, standby } = databases
  const tracker = registryVerification(standby)
  const inTransaction = (work: (trx: Knex.Transaction) => Promise<unknown>) => tracking.transaction(work)
  const record = (verdict: Verdict) => inTransaction((trx) => tracker.record(trx, replicable, [claimed(id)], [verdict]))
  const sync = (verifiable: boolean) =>
    inTransaction((trx) =>
      markSynced(trx, replicable, LEASE, [{ id, key: 'a', bytes: 5, verifiable, rowVersion: '7' }]),
    )
  const syncedColumns = {
    state: S.synced,
    row_version: '7',
    lease_id: null,
    retry_count: 0,
    retry_at: null,
    last_sync_failure: null,
    error_code: null,
  }
  return [
    {
      name: 'wakeVerification',
      to: 'pending',
      from: VERIFICATION.states,
      open: () => wakeVerification(tracking, replicable, [id]),
      changes: toPending,
    },
    {
      name: 'a bulk reverify',
      to: 'pending',
      from: ['started', 'succeeded', 'failed', 'disabled'],
      open: () => inTransaction((trx) => walkRange(trx, reverifyWalk(replicable, {}), WHOLE_TABLE, false)),
      // Someone asked for it: no failure stands in the way any more.
      changes: () => toPending('succeeded'),
    },
    ...(['disabled', 'succeeded'] as const).map(
      (was): Door<VerificationState> => ({
        name: `wakeUnverified, ${was}`,
        to: 'pending',
        from: [was],
        open: () => wakeUnverified(tracking, replicable, { page: pageOf(id), after: null, upTo: null }, was),
        changes: toPending,
      }),
    ),
    {
      name: 'giveBack',
      to: 'pending',
      from: ['started'],
      open: () => inTransaction((trx) => tracker.giveBack(trx, replicable, [id])),
      changes: () => ({ verification_state: V.pending }),
    },
    {
      name: 'markSynced, with a checksum on the primary',
      to: 'pending',
      from: VERIFICATION.states,
      given: fetched,
      open: () => sync(true),
      changes: (from) => ({ ...syncedColumns, ...toPending(from) }),
    },
    {
      name: 'claim',
      to: 'started',
      from: ['pending', 'failed'],
      open: () => inTransaction((trx) => tracker.claim(trx, replicable, 10)),
      changes: () => ({ verification_state: V.started, verification_started_at: secondsAhead(0) }),
    },
    {
      name: 'record, succeeded',
      to: 'succeeded',
      from: ['started'],
      open: () => record({ id, outcome: 'succeeded', digest: digest('cc') }),
      changes: () => ({
        verification_state: V.succeeded,
        verification_checksum: Buffer.from('01cc', 'hex'),
        verified_at: secondsAhead(0),
        verification_retry_count: 0,
        verification_retry_at: null,
        verification_failure: null,
        checksum_mismatch: false,
        verification_checksum_mismatched: null,
      }),
    },
    {
      name: 'record, failed to hash',
      to: 'failed',
      from: ['started'],
      open: () => record({ id, outcome: 'failed', code: 'FILE_MISSING', message: 'gone', retryInSeconds: 100 }),
      changes: () => ({
        verification_state: V.failed,
        verification_failure: 'gone',
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
        verified_at: secondsAhead(0),
        verification_checksum: null,
        verification_checksum_mismatched: null,
        checksum_mismatch: false,
        state: S.failed,
        last_sync_failure: 'Verification failed with: gone',
        error_code: 'FILE_MISSING',
        retry_count: 7,
        retry_at: secondsAhead(100),
      }),
    },
    {
      name: 'record, failed where no more can be counted',
      to: 'failed',
      from: ['started'],
      given: { verification_retry_count: HIGHEST },
      open: () =>
        record({
          id,
          outcome: 'failed',
          code: 'VERIFICATION_MISMATCH',
          message: 'other bytes',
          retryInSeconds: 100,
          mismatch: { local: digest('aa'), expected: digest('bb') },
        }),
      changes: () => ({
        verification_state: V.failed,
        verification_failure: 'other bytes',
        verification_retry_count: HIGHEST,
        verification_retry_at: secondsAhead(100),
        verified_at: secondsAhead(0),
        verification_checksum: Buffer.from('01aa', 'hex'),
        verification_checksum_mismatched: Buffer.from('01bb', 'hex'),
        checksum_mismatch: true,
        state: S.failed,
        last_sync_failure: 'Verification failed with: other bytes',
        error_code: 'VERIFICATION_MISMATCH',
        retry_count: HIGHEST,
        retry_at: secondsAhead(100),
      }),
    },
    {
      name: 'takeOver',
      to: 'failed',
      from: ['started'],
      open: () => inTransaction((trx) => tracker.takeOver(trx, replicable, [id], 100)),
      // The first cause stays, and the copy is not at fault.
      changes: () => ({
        verification_state: V.failed,
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
      }),
    },
    {
      name: 'failTimedOutVerifications',
      to: 'failed',
      from: ['started'],
      open: () =>
        inTransaction((trx) =>
          failTimedOutVerifications(trx, replicable, { timeoutMs: 1000, retryInSeconds: 100, limit: 10 }),
        ),
      // The first cause stays.
      changes: () => ({
        verification_state: V.failed,
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
        verified_at: secondsAhead(0),
        verification_checksum: null,
        state: S.failed,
        last_sync_failure: 'Verification failed with: earlier',
        retry_count: 7,
        retry_at: secondsAhead(100),
      }),
    },
    {
      name: 'record, disabled',
      to: 'disabled',
      from: ['started'],
      open: () => record({ id, outcome: 'disabled' }),
      changes: () => ({ verification_state: V.disabled }),
    },
    {
      name: 'a bulk resync',
      to: 'disabled',
      from: VERIFICATION.states,
      open: () => inTransaction((trx) => walkRange(trx, resyncWalk(replicable, {}), WHOLE_TABLE, false)),
      changes: () => ({
        ...toPending('succeeded'),
        verification_state: V.disabled,
        state: S.pending,
        retry_count: 0,
        retry_at: null,
        last_sync_failure: null,
        error_code: null,
        backfill: true,
      }),
    },
    {
      name: 'resyncRecords',
      to: 'disabled',
      from: VERIFICATION.states,
      open: () => resyncRecords(tracking, replicable, [id]),
      changes: () => resynced,
    },
    {
      name: 'cancelRemovals',
      to: 'disabled',
      from: VERIFICATION.states,
      given: { removal_requested_at: STARTED_AT, removal_retry_at: STARTED_AT },
      open: () => cancelRemovals(tracking, replicable, `{${id}}`),
      changes: () => ({ ...resynced, removal_requested_at: null, removal_retry_at: null }),
    },
    {
      name: 'resyncMoved',
      to: 'disabled',
      from: VERIFICATION.states,
      open: () => resyncMoved(tracking, replicable, [{ id, storedKey: 'a', version: '78' }]),
      changes: () => resynced,
    },
    {
      name: 'markSynced, without a checksum on the primary',
      to: 'disabled',
      from: ['started', 'succeeded', 'failed', 'disabled'],
      given: fetched,
      open: () => sync(false),
      changes: () => ({ ...syncedColumns, verification_state: V.disabled }),
      // Word of the checksum came while the file was on its way.
      otherwise: { ...syncedColumns, ...toPending('pending') },
    },
    {
      name: 'claimRows',
      to: 'disabled',
      from: ['pending'],
      given: { state: S.pending },
      open: () => inTransaction((trx) => claimRows(trx, replicable, LEASE, { rows: 10, byteBudget: 1000 })),
      changes: () => ({ ...fetched, last_synced_at: secondsAhead(0), verification_state: V.disabled }),
      otherwise: { ...fetched, last_synced_at: secondsAhead(0) },
    },
  ]
}

describe.each([
  { keys: 'bigint', replicable: untyped(declared.widgets), id: '9007199254740993' },
  { keys: 'uuid', replicable: untyped(declared.gadgets), id: 'b8c7b9a0-5f1e-4a6c-8a52-0d4c9ab7f2d1' },
])('The verification state of a registry with $keys keys', ({ replicable, id }) => {
  itGoesThroughEveryPair<VerificationState>({
    machine: VERIFICATION,
    doors: () => doorsOf(replicable, id),
    withoutDoor: [
      { from: ['started', 'succeeded', 'disabled'], to: 'started', why: 'only what waits is claimed' },
      {
        from: ['pending', 'succeeded', 'failed', 'disabled'],
        to: 'failed',
        why: 'a failure is that of an attempt, and who asked for another meanwhile gets it',
      },
    ],
    async start(from, given) {
      const { tracking } = databases
      await tracking(replicable.names.registryTable).delete()
      await addRegistryRow(tracking, replicable, id, {
        state: S.synced,
        last_synced_at: STARTED_AT,
        retry_count: 3,
        retry_at: secondsFromNow(tracking, -60),
        last_sync_failure: 'earlier',
        error_code: 'STORAGE_FULL',
        blob_key: 'a',
        bytes: 5,
        verified_at: STARTED_AT,
        verification_state: V[from],
        verification_started_at: STARTED_AT,
        verification_retry_at: STARTED_AT,
        verification_retry_count: 6,
        verification_failure: 'earlier',
        verification_checksum: Buffer.of(1, 2),
        verification_checksum_mismatched: Buffer.of(1, 3),
        checksum_mismatch: true,
        ...given,
      })
    },
    row: () => registryRow(databases.tracking, replicable, id),
  })

  it.each([S.pending, S.started, S.failed])('is not judged while its sync state is %i', async (state) => {
    const { tracking, standby } = databases
    await tracking(replicable.names.registryTable).delete()
    await addRegistryRow(tracking, replicable, id, {
      state,
      verification_state: V.started,
      verification_started_at: STARTED_AT,
    })
    const before = await registryRow(tracking, replicable, id)
    const verdicts: Verdict[] = [
      { id, outcome: 'succeeded', digest: digest('cc') },
      { id, outcome: 'failed', code: 'FILE_MISSING', message: 'gone', retryInSeconds: 100 },
      { id, outcome: 'disabled' },
    ]
    for (const verdict of verdicts)
      await tracking.transaction((trx) =>
        registryVerification(standby).record(trx, replicable, [claimed(id)], [verdict]),
      )
    expect(await registryRow(tracking, replicable, id)).toEqual(before)
  })
})

it.each<{ what: string; verdict: Verdict }>([
  {
    what: 'A failure without a reason',
    verdict: { id: '1', outcome: 'failed', code: 'INTERNAL', message: ' ', retryInSeconds: 1 },
  },
  { what: 'A success without a checksum', verdict: { id: '1', outcome: 'succeeded', digest: digest('') } },
])('$what is never written', async ({ verdict }) => {
  const tracker = registryVerification(databases.standby)
  const attempt = databases.tracking.transaction((trx) =>
    tracker.record(trx, untyped(declared.widgets), [claimed('1')], [verdict]),
  )
  await expect(attempt).rejects.toThrow(/without a (reason|checksum)/)
})
