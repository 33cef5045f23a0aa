import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stateTableOf } from '../../lib/blob/primary-checksum.ts'
import { defineReplicable, type KeyType, type Replicable } from '../../lib/blob/replicable.ts'
import { addVerificationColumns, createVerificationStateTable, localDisk } from '../../lib/index.ts'
import { walkKeys } from '../../lib/key-walk.ts'
import { requestChecksum } from '../../lib/verification/await-checksum.ts'
import { reverifyPrimaryWalk } from '../../lib/verification/bulk.ts'
import { reverifyDue, wakeNamed } from '../../lib/verification/maintain-states.ts'
import { forgetChecksum } from '../../lib/verification/primary-state.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { failTimedOutRecords } from '../../lib/verification/timed-out.ts'
import type { ClaimedRecord, Verdict } from '../../lib/verification/tracker.ts'
import {
  VERIFICATION_STATE as V,
  VERIFICATION,
  type VerificationState,
} from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'
import { type Columns, type Door, itGoesThroughEveryPair, secondsAhead } from '../support/transition-table.ts'

const STARTED_AT = '2024-02-29 10:00:00.123456+00'
const RECORDED = Buffer.from('01aa', 'hex')
const IDS: Record<KeyType, string> = {
  bigint: '9007199254740993',
  uuid: 'b8c7b9a0-5f1e-4a6c-8a52-0d4c9ab7f2d1',
}

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
  for (const { replicable, kept } of TYPES) await createTables(databases.main, replicable, kept)
})
afterAll(() => databases.destroy())

async function createTables(main: Knex, { name, table, keyType }: Replicable, kept: 'separate' | 'columns') {
  await main.raw(`create table ?? (id ${keyType} primary key, file_path text not null)`, [table])
  if (kept === 'separate') await createVerificationStateTable(main, name, { table, keyType })
  else await addVerificationColumns(main, name, { table })
}

function typeOf(name: string, keyType: KeyType, kept: 'separate' | 'columns') {
  const replicable = defineReplicable<{ file_path: string }>({
    name,
    table: `${name}s`,
    keyType,
    verificationState: kept,
    store: localDisk({ root: 'unused' }),
    blob: (row) => row.file_path,
  })
  return { keys: keyType, kept, replicable: untyped(replicable) }
}

const TYPES = [
  typeOf('gizmo', 'bigint', 'separate'),
  typeOf('gear', 'uuid', 'separate'),
  typeOf('gauge', 'bigint', 'columns'),
  typeOf('grip', 'uuid', 'columns'),
]

const claimed = (id: string) => ({ id, startedAt: STARTED_AT }) as ClaimedRecord

/** Each function through which a record of the primary changes its verification state. */
function doorsOf(replicable: Replicable, id: string): Door<VerificationState>[] {
  const { main } = databases
  const tracker = primaryVerification(main, async () => undefined)
  const separate = replicable.verificationState === 'separate'
  const inTransaction = (work: (trx: Knex.Transaction) => Promise<unknown>) => main.transaction(work)
  const record = (verdict: Verdict) => inTransaction((trx) => tracker.record(trx, replicable, [claimed(id)], [verdict]))
  // Another file: whatever was counted and recorded was of the former one.
  const reset = {
    verification_state: V.pending,
    verification_checksum: null,
    verification_failure: null,
    verification_retry_count: 0,
    verification_retry_at: null,
  }
  return [
    {
      name: 'requestChecksum, of an updated row',
      to: 'pending',
      from: VERIFICATION.states,
      open: () => inTransaction((trx) => requestChecksum(trx, trx, replicable, id, 'updated')),
      changes: () => reset,
    },
    {
      name: 'requestChecksum, of a row that is created once more and has no checksum',
      to: 'pending',
      from: ['started', 'succeeded', 'failed', 'disabled'],
      given: { verification_checksum: null },
      open: () => inTransaction((trx) => requestChecksum(trx, trx, replicable, id, 'created')),
      changes: (from) => ({
        verification_state: V.pending,
        verification_failure: null,
        // From failed they stay, so that the backoff keeps growing.
        ...(from !== 'failed' && { verification_retry_count: 0, verification_retry_at: null }),
      }),
    },
    {
      name: 'forgetChecksum',
      to: 'pending',
      from: VERIFICATION.states,
      open: () => forgetChecksum(main, replicable, id),
      changes: () => reset,
    },
    {
      name: 'a bulk reverify',
      to: 'pending',
      from: ['started', 'succeeded', 'failed', 'disabled'],
      open: () => inTransaction((trx) => walkKeys(trx, reverifyPrimaryWalk(replicable, {}), [id], false)),
      changes: () => ({ ...reset, verification_checksum: RECORDED }),
    },
    {
      name: 'reverifyDue',
      to: 'pending',
      from: separate ? ['succeeded', 'disabled'] : ['succeeded'],
      open: () => reverifyDue(main, replicable, 7),
      changes: () => ({ verification_state: V.pending }),
    },
    ...(separate
      ? []
      : [
          {
            name: 'wakeNamed',
            to: 'pending',
            from: ['disabled'],
            open: () => wakeNamed(main, replicable, { after: null }),
            changes: () => ({ verification_state: V.pending }),
          } as const,
        ]),
    {
      name: 'giveBack',
      to: 'pending',
      from: ['started'],
      open: () => inTransaction((trx) => tracker.giveBack(trx, replicable, [id])),
      changes: () => ({ verification_state: V.pending }),
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
      open: () => record({ id, outcome: 'succeeded', digest: { algorithm: 'xxh64', hex: 'cc' } }),
      changes: () => ({
        verification_state: V.succeeded,
        verification_checksum: Buffer.from('01cc', 'hex'),
        verified_at: secondsAhead(0),
        verification_failure: null,
        verification_retry_count: 0,
        verification_retry_at: null,
      }),
    },
    {
      name: 'record, failed',
      to: 'failed',
      from: ['started'],
      open: () =>
        record({ id, outcome: 'failed', code: 'FILE_MISSING', message: 'x'.repeat(256), retryInSeconds: 100 }),
      // No failure clears the recorded checksum.
      changes: () => ({
        verification_state: V.failed,
        verified_at: secondsAhead(0),
        verification_failure: `${'x'.repeat(252)}...`,
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
      }),
    },
    {
      name: 'record, failed for the first time',
      to: 'failed',
      from: ['started'],
      given: { verification_retry_count: null },
      open: () => record({ id, outcome: 'failed', code: 'FILE_MISSING', message: 'gone', retryInSeconds: 100 }),
      changes: () => ({
        verification_state: V.failed,
        verified_at: secondsAhead(0),
        verification_failure: 'gone',
        verification_retry_count: 1,
        verification_retry_at: secondsAhead(100),
      }),
    },
    {
      name: 'takeOver, where no more can be counted',
      to: 'failed',
      from: ['started'],
      given: { verification_retry_count: 32_767 },
      open: () => inTransaction((trx) => tracker.takeOver(trx, replicable, [id], 100)),
      changes: () => ({ verification_state: V.failed, verification_retry_at: secondsAhead(100) }),
    },
    {
      name: 'takeOver, for the first time',
      to: 'failed',
      from: ['started'],
      given: { verification_retry_count: null, verification_failure: null },
      open: () => inTransaction((trx) => tracker.takeOver(trx, replicable, [id], 100)),
      changes: () => ({
        verification_state: V.failed,
        verification_failure: 'The process that hashed this blob stopped answering',
        verification_retry_count: 1,
        verification_retry_at: secondsAhead(0),
      }),
    },
    {
      name: 'failTimedOutRecords',
      to: 'failed',
      from: ['started'],
      open: () =>
        inTransaction((trx) =>
          failTimedOutRecords(trx, replicable, { timeoutMs: 1000, retryInSeconds: 100, limit: 10 }),
        ),
      // The first cause stays, and so does the recorded checksum.
      changes: () => ({
        verification_state: V.failed,
        verification_retry_count: 7,
        verification_retry_at: secondsAhead(100),
        verified_at: secondsAhead(0),
      }),
    },
    {
      name: 'record, disabled',
      to: 'disabled',
      from: ['started'],
      open: () => record({ id, outcome: 'disabled' }),
      changes: () => ({ verification_state: V.disabled }),
    },
  ]
}

describe.each(TYPES)(
  'The verification state of the primary with $keys keys, kept as $kept',
  ({ keys, kept, replicable }) => {
    const id = IDS[keys]
    const { table, key } = stateTableOf(replicable)

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
        {
          from: ['pending', 'succeeded', 'failed', 'disabled'],
          to: 'disabled',
          why: 'that a record has no file is found out by an attempt to hash it',
        },
      ],
      async start(from, given) {
        const { main } = databases
        await main(replicable.table).delete()
        const state: Columns = {
          verification_state: V[from],
          verification_started_at: STARTED_AT,
          verification_retry_at: STARTED_AT,
          verified_at: STARTED_AT,
          verification_retry_count: 6,
          verification_checksum: RECORDED,
          verification_failure: 'earlier',
          ...given,
        }
        await main(replicable.table).insert({ id, file_path: 'a', ...(kept === 'columns' && state) })
        if (kept === 'separate') await main(table).insert({ [key]: id, ...state })
      },
      row: () =>
        databases
          .main(table)
          .where({ [key]: id })
          .first(),
    })
  },
)

it('The machine of verification states is that of the behaviour reference, with the numbers that the tables hold', () => {
  expect(V).toEqual({ pending: 0, started: 1, succeeded: 2, failed: 3, disabled: 4 })
  const { states } = VERIFICATION
  const reached: Record<VerificationState, readonly VerificationState[]> = {
    pending: states,
    started: states,
    succeeded: ['started'],
    failed: states,
    disabled: states,
  }
  for (const to of states) expect(states.filter((from) => VERIFICATION.may(from, to))).toEqual(reached[to])
})
