import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { walkRange } from '../../lib/key-walk.ts'
import { resyncWalk } from '../../lib/registry/bulk.ts'
import { claimRows } from '../../lib/registry/claims.ts'
import { giveBackRows, markFailed, markSynced, takeOverRows } from '../../lib/registry/marks.ts'
import { resyncMoved } from '../../lib/registry/mend.ts'
import { cancelRemovals, insertPending, resyncRecords } from '../../lib/registry/registry.ts'
import { registryVerification } from '../../lib/registry/registry-verification.ts'
import { SYNC_STATE as S, SYNC, type SyncState } from '../../lib/registry/sync-state.ts'
import { failTimedOutSyncs, failTimedOutVerifications } from '../../lib/registry/timeouts.ts'
import type { ClaimedRecord, Verdict } from '../../lib/verification/tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, registryRow, secondsFromNow, untyped } from '../support/fixture-rows.ts'
import { type Door, itGoesThroughEveryPair, secondsAhead } from '../support/transition-table.ts'

const declared = declareReplicables('unused')
const LEASE = '5'
const WHOLE_TABLE = { after: null, upTo: '9223372036854775807', limit: 10 }
const TIMED_OUT = { timeoutMs: 1000, retryInSeconds: 100, limit: 10 }
const STARTED_AT = '2024-02-29 10:00:00.123456+00'

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

/** Each function through which a registry row changes its sync state. */
function doorsOf(replicable: Replicable, id: string): Door<SyncState>[] {
  const inTransaction = <T>(work: Parameters<typeof databases.tracking.transaction<T>>[0]) =>
    databases.tracking.transaction(work)
  const toPending = { state: S.pending, retry_at: null, retry_count: 0, verification_state: V.disabled }
  const held = { lease_id: LEASE }
  const failure = { id, code: 'HTTP_STATUS', message: 'the primary said 500', retryInSeconds: 100 } as const
  return [
    {
      name: 'resyncRecords',
      to: 'pending',
      from: SYNC.states,
      open: () => resyncRecords(databases.tracking, replicable, [id]),
      changes: () => toPending,
    },
    {
      name: 'a bulk resync',
      to: 'pending',
      from: ['started', 'synced', 'failed'],
      open: () => inTransaction((trx) => walkRange(trx, resyncWalk(replicable, {}), WHOLE_TABLE, false)),
      changes: () => ({
        ...toPending,
        last_sync_failure: null,
        error_code: null,
        verification_failure: null,
        verification_retry_count: 0,
        verification_retry_at: null,
        checksum_mismatch: false,
        verification_checksum_mismatched: null,
        backfill: true,
      }),
    },
    {
      name: 'insertPending, where a removal was asked for',
      to: 'pending',
      from: SYNC.states,
      given: { removal_requested_at: STARTED_AT, removal_retry_at: STARTED_AT },
      open: () => insertPending(databases.tracking, replicable, [id]),
      changes: () => ({ ...toPending, removal_requested_at: null, removal_retry_at: null }),
    },
    {
      name: 'cancelRemovals, of a page',
      to: 'pending',
      from: SYNC.states,
      given: { removal_requested_at: STARTED_AT, removal_retry_at: STARTED_AT },
      open: () => cancelRemovals(databases.tracking, replicable, `{${id}}`),
      changes: () => ({ ...toPending, removal_requested_at: null, removal_retry_at: null }),
    },
    {
      name: 'resyncMoved',
      to: 'pending',
      from: ['synced'],
      open: () => resyncMoved(databases.tracking, replicable, [{ id, storedKey: 'old/key', version: '78' }]),
      changes: () => toPending,
    },
    {
      name: 'giveBackRows, never tried before',
      to: 'pending',
      from: ['started'],
      given: { ...held, retry_count: 0 },
      open: () => inTransaction((trx) => giveBackRows(trx, replicable, LEASE, [id])),
      changes: () => ({ state: S.pending, lease_id: null }),
      otherwise: { lease_id: null },
    },
    {
      name: 'claimRows',
      to: 'started',
      from: ['pending', 'failed'],
      given: { lease_id: null },
      open: () => inTransaction((trx) => claimRows(trx, replicable, '6', { rows: 10, byteBudget: 1000 })),
      changes: () => ({ state: S.started, lease_id: '6', last_synced_at: secondsAhead(0) }),
    },
    {
      name: 'markSynced',
      to: 'synced',
      from: ['started'],
      given: held,
      open: () =>
        inTransaction((trx) =>
          markSynced(trx, replicable, LEASE, [{ id, key: 'new/key', bytes: 12, verifiable: false, rowVersion: '7' }]),
        ),
      changes: () => ({
        state: S.synced,
        retry_count: 0,
        retry_at: null,
        last_sync_failure: null,
        error_code: null,
        lease_id: null,
        blob_key: 'new/key',
        bytes: '12',
        row_version: '7',
        superseded_keys: ['older', 'old/key'],
        verification_state: V.disabled,
      }),
    },
    {
      name: 'markFailed',
      to: 'failed',
      from: ['started'],
      given: held,
      open: () => inTransaction((trx) => markFailed(trx, replicable, LEASE, [failure])),
      changes: () => ({
        state: S.failed,
        retry_count: 4,
        retry_at: secondsAhead(100),
        last_sync_failure: 'the primary said 500',
        error_code: 'HTTP_STATUS',
        lease_id: null,
      }),
    },
    {
      name: 'takeOverRows',
      to: 'failed',
      from: ['started'],
      given: held,
      open: () => inTransaction((trx) => takeOverRows(trx, replicable, LEASE, [id], 100)),
      // The first cause stays.
      changes: () => ({
        state: S.failed,
        retry_count: 4,
        retry_at: secondsAhead(0),
        worker_losses: 1,
        lease_id: null,
      }),
      otherwise: { lease_id: null },
    },
    {
      name: 'giveBackRows, tried before',
      to: 'failed',
      from: ['started'],
      given: held,
      open: () => inTransaction((trx) => giveBackRows(trx, replicable, LEASE, [id])),
      changes: () => ({ state: S.failed, lease_id: null }),
      otherwise: { lease_id: null },
    },
    {
      name: 'failTimedOutSyncs',
      to: 'failed',
      from: ['started'],
      // Of a lease that is gone.
      given: held,
      open: () => inTransaction((trx) => failTimedOutSyncs(trx, replicable, TIMED_OUT)),
      // The first cause stays.
      changes: () => ({ state: S.failed, retry_count: 4, retry_at: secondsAhead(100), lease_id: null }),
    },
    {
      name: 'failTimedOutVerifications',
      to: 'failed',
      from: ['synced'],
      given: { lease_id: null, verification_state: V.started },
      open: () => inTransaction((trx) => failTimedOutVerifications(trx, replicable, TIMED_OUT)),
      changes: () => ({
        state: S.failed,
        retry_count: 7,
        retry_at: secondsAhead(100),
        last_sync_failure: 'Verification failed with: earlier',
        verification_state: V.failed,
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
        verified_at: secondsAhead(0),
        verification_checksum: null,
      }),
    },
    {
      name: 'a failed verification',
      to: 'failed',
      from: ['synced'],
      given: { lease_id: null, verification_state: V.started },
      open: () => {
        const [claim, verdict] = failedVerification(id)
        return inTransaction((trx) =>
          registryVerification(databases.standby).record(trx, replicable, [claim], [verdict]),
        )
      },
      changes: () => ({
        state: S.failed,
        retry_count: 7,
        retry_at: secondsAhead(100),
        last_sync_failure: `Verification failed with: ${'x'.repeat(226)}...`,
        error_code: 'VERIFICATION_MISMATCH',
        verification_state: V.failed,
        verification_failure: `${'x'.repeat(252)}...`,
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
        verified_at: secondsAhead(0),
        verification_checksum: Buffer.from('01aa', 'hex'),
        verification_checksum_mismatched: Buffer.from('01bb', 'hex'),
        checksum_mismatch: true,
      }),
    },
  ]
}

function failedVerification(id: string): [ClaimedRecord, Verdict] {
  const digest = (hex: string) => ({ algorithm: 'xxh64', hex }) as const
  return [
    { id, startedAt: STARTED_AT } as ClaimedRecord,
    {
      id,
      outcome: 'failed',
      code: 'VERIFICATION_MISMATCH',
      message: 'x'.repeat(256),
      retryInSeconds: 100,
      mismatch: { local: digest('aa'), expected: digest('bb') },
    },
  ]
}

describe.each([
  { keys: 'bigint', replicable: untyped(declared.widgets), id: '9007199254740993' },
  { keys: 'uuid', replicable: untyped(declared.gadgets), id: 'b8c7b9a0-5f1e-4a6c-8a52-0d4c9ab7f2d1' },
])('The sync state of a registry with $keys keys', ({ replicable, id }) => {
  itGoesThroughEveryPair<SyncState>({
    machine: SYNC,
    doors: () => doorsOf(replicable, id),
    withoutDoor: [
      { from: ['synced'], to: 'started', why: 'a copy that is to be fetched again is put to pending first' },
      { from: ['pending'], to: 'failed', why: 'who was told to fetch anew keeps that word, however the attempt ends' },
      { from: ['failed'], to: 'failed', why: 'a failure is that of an attempt, and an attempt has started' },
    ],
    async start(from, given) {
      const { tracking } = databases
      await tracking(replicable.names.registryTable).delete()
      await addRegistryRow(tracking, replicable, id, {
        state: S[from],
        last_synced_at: STARTED_AT,
        retry_count: 3,
        retry_at: secondsFromNow(tracking, -60),
        last_sync_failure: 'earlier',
        error_code: 'STORAGE_FULL',
        lease_id: LEASE,
        blob_key: 'old/key',
        superseded_keys: ['older'],
        bytes: 5,
        verified_at: STARTED_AT,
        verification_state: V.succeeded,
        verification_started_at: STARTED_AT,
        verification_retry_at: STARTED_AT,
        verification_retry_count: 6,
        verification_failure: 'earlier',
        verification_checksum: Buffer.of(1, 2),
        verification_checksum_mismatched: Buffer.of(1, 3),
        checksum_mismatch: true,
        row_version: '77',
        ...given,
      })
    },
    row: () => registryRow(databases.tracking, replicable, id),
  })
})

it('The machine of sync states is that of the behaviour reference, with the numbers that the tables hold', () => {
  expect(S).toEqual({ pending: 0, started: 1, synced: 2, failed: 3 })
  const reached: Record<SyncState, SyncState[]> = {
    pending: ['pending', 'started', 'synced', 'failed'],
    started: ['pending', 'synced', 'failed'],
    synced: ['started'],
    failed: ['pending', 'started', 'synced', 'failed'],
  }
  for (const to of SYNC.states) expect(SYNC.states.filter((from) => SYNC.may(from, to))).toEqual(reached[to])
})
