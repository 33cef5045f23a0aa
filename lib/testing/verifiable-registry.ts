import assert from 'node:assert/strict'
import { encodeDigest } from '../blob/digest.ts'
import { registryVerification } from '../registry/registry-verification.ts'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Bench } from './bench.ts'
import { brandNewPending } from './brand-new-pending.ts'
import type { MadeRow, RegistryTraits } from './factories.ts'
import { type Columns, secondsFromNow } from './rows.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, assertSecondsAhead, registryOf, type Subject } from './subject.ts'

/*
 * GB.M.6. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | to synced: ready, from disabled and from pending | asserted by whole transfers; every pair of states is in the specs of the machines |
 * | needs_verification_count(limit 3) | nobody counts what waits: that something waits, and what does not, is asserted |
 * | track_checksum_attempt! yields without arguments | there is no block to yield to |
 * | track_checksum_attempt! sets started_at when not started | only what was claimed is hashed, and a claim sets it: asserted |
 * | becoming synced leads to verification pending | a small copy is hashed as soon as it has its name, so it is succeeded: asserted |
 * | brand_new_pending? is true of a started default | it is asked of a row as it was before its start |
 */

/** The suite 'a Geo verifiable registry'. */
export function aVerifiableRegistry(runner: TestRunner, subject: Subject): void {
  const { describe, it, beforeEach } = runner
  const { bench } = subject
  const verify = async (): Promise<number> => {
    await bench().caughtUp()
    return bench().work(bench().secondary.parts.sources.verify)
  }

  describe('a Geo verifiable registry', () => {
    beforeEach(() => bench().reset())

    describe('becoming synced', () => {
      for (const [ready, state] of [
        [true, 'succeeded'],
        [false, 'disabled'],
      ] as const) {
        it(`leads to verification ${state} where the primary ${ready ? 'has' : 'has not'} verified the record`, async () => {
          const { make, secondary } = bench()
          const record = await make.row(ready ? { verification: 'succeeded' } : {})
          await make.registry({ of: record })
          await bench().caughtUp()
          await bench().work(secondary.parts.sources.sync)
          assertColumns(await registryOf(bench(), record.id), { state: S.synced, verification_state: V[state] })
        })
      }
    })

    for (const sync of ['synced', 'failed'] as const) {
      it(`a ${sync} row that becomes pending is disabled for verification`, async () => {
        const { make, main, primary, secondary } = bench()
        const record = await make.registry({ sync, verification: 'succeeded' })
        await main.transaction((trx) => primary.geo.replicator(primary.type).updated(record.row, trx))
        await bench().runJob(secondary, 'events')
        assertColumns(await registryOf(bench(), record.id), { state: S.pending, verification_state: V.disabled })
      })
    }

    it('verification_failed_with_message! fails the sync as well', async () => {
      const record = await bench().make.registry({
        sync: 'synced',
        columns: { verification_state: V.started, verification_started_at: STARTED_AT },
      })
      await failWith(bench(), record, 'foo')
      assertColumns(await registryOf(bench(), record.id), {
        state: S.failed,
        verification_state: V.failed,
        verification_failure: 'foo',
        last_sync_failure: 'Verification failed with: foo',
        retry_count: 1,
        verification_retry_count: 1,
      })
    })

    const batches = [
      { batch: 'verification_pending_batch', from: 'pending', waiting: { verification_state: V.pending } },
      { batch: 'verification_failed_batch', from: 'failed', waiting: { verification_state: V.failed } },
    ] as const
    for (const { batch, from, waiting } of batches) {
      describe(batch, () => {
        it(`takes synced rows that are ${from}, by the keys of their records, marks them started, and is logged`, async () => {
          const { make, secondary } = bench()
          const records = [
            await make.registry({ sync: 'synced', columns: waiting }),
            await make.registry({ sync: 'synced', columns: waiting }),
          ]
          for (const traits of notWaiting(bench(), waiting)) await make.registry(traits)
          const claimed = await secondary.parts.sources.verify.claim()
          const ids = claimed?.claimed.map(({ id }) => id) ?? []
          assert.deepEqual(ids.toSorted(), records.map(({ id }) => id).toSorted())
          for (const { id } of records) {
            const row = await registryOf(bench(), id)
            assertColumns(row, { verification_state: V.started })
            assertSecondsAhead(row['verification_started_at'], 0, 30)
          }
          const [line] = secondary.log.lines
          assert.equal(line?.level, 'debug')
          assert.equal(line.message, 'Batch verification state transition')
          const table = secondary.type.names.registryTable
          assertColumns(line.fields, { table, count: 2, from, to: 'started', ids: ids.join(',') })
        })
      })
    }

    it('nothing else needs verification', async () => {
      const { make, secondary } = bench()
      for (const traits of notWaiting(bench(), { verification_state: V.pending })) await make.registry(traits)
      assert.equal(await secondary.parts.sources.verify.claim(), null)
    })

    it('verification_succeeded! clears checksum_mismatch and verification_checksum_mismatched', async () => {
      const { make } = bench()
      const { id } = await make.registry({
        sync: 'synced',
        of: await make.row({ verification: 'succeeded' }),
        columns: { checksum_mismatch: true, verification_checksum_mismatched: Buffer.of(1, 2) },
      })
      assert.equal(await verify(), 1)
      assertColumns(await registryOf(bench(), id), {
        verification_state: V.succeeded,
        checksum_mismatch: false,
        verification_checksum_mismatched: null,
      })
    })

    describe('track_checksum_attempt!', () => {
      it('of a match succeeds and keeps the checksum', async () => {
        const { make } = bench()
        const record = await make.registry({ sync: 'synced', of: await make.row({ verification: 'succeeded' }) })
        await verify()
        assertColumns(await registryOf(bench(), record.id), {
          verification_state: V.succeeded,
          verification_checksum: encodeDigest(record.digest),
        })
      })

      it('of a mismatch fails, and keeps both checksums', async () => {
        const { make } = bench()
        const [kept, other] = [await make.row({ verification: 'succeeded' }), await make.row()]
        await make.registry({ sync: 'synced', of: { ...kept, bytes: other.bytes } })
        await verify()
        const row = await registryOf(bench(), kept.id)
        assertColumns(row, {
          state: S.failed,
          verification_state: V.failed,
          verification_checksum: encodeDigest(other.digest),
          verification_checksum_mismatched: encodeDigest(kept.digest),
          checksum_mismatch: true,
        })
        assert.match(String(row['verification_failure']), /^Checksum does not match the primary checksum /)
      })

      it('of a copy that cannot be read fails', async () => {
        const { make } = bench()
        const record = await make.row({ verification: 'succeeded' })
        await make.registry({ sync: 'synced', of: record, withFile: false, columns: { blob_key: 'not/there' } })
        await verify()
        const row = await registryOf(bench(), record.id)
        assertColumns(row, { verification_state: V.failed, error_code: 'FILE_MISSING' })
        assert.match(String(row['verification_failure']), /^Error during verification: /)
      })

      it('of a record that the primary has not verified becomes disabled', async () => {
        const { make } = bench()
        const { id } = await make.registry({ sync: 'synced' })
        await verify()
        assertColumns(await registryOf(bench(), id), { verification_state: V.disabled, state: S.synced })
      })

      it('leaves a disabled row disabled', async () => {
        const { make } = bench()
        const { id } = await make.registry({ sync: 'synced', columns: { verification_state: V.disabled } })
        assert.equal(await verify(), 0)
        assertColumns(await registryOf(bench(), id), { verification_state: V.disabled, verification_started_at: null })
      })
    })

    brandNewPending(runner, subject)
  })
}

const STARTED_AT = '2024-02-29 10:00:00.123456+00'

/** Rows that no batch may take. */
function notWaiting({ tracking }: Bench, waiting: Columns): RegistryTraits[] {
  const synced = (columns: Columns): RegistryTraits => ({ sync: 'synced', columns })
  return [
    { columns: waiting },
    { sync: 'started', columns: waiting },
    { sync: 'failed', columns: waiting },
    synced({ verification_state: V.started }),
    synced({ verification_state: V.succeeded }),
    synced({ verification_state: V.disabled }),
    synced({ verification_state: V.failed, verification_retry_at: secondsFromNow(tracking, 60) }),
  ]
}

async function failWith({ tracking, secondary }: Bench, { id, blobKey }: MadeRow, message: string): Promise<void> {
  const claim = {
    id,
    registryId: '1',
    from: 'pending',
    startedAt: STARTED_AT,
    retryCount: 0,
    recorded: null,
    corrupt: false,
    unreadable: false,
    announcedSecondsAgo: null,
    traceparent: null,
    storedKey: blobKey,
  } as const
  const verdict = { id, outcome: 'failed', code: 'FILE_MISSING', message, retryInSeconds: 60 } as const
  const tracker = registryVerification(secondary.parts.databases.main)
  await tracking.transaction((trx) => tracker.record(trx, secondary.type, [claim], [verdict]))
}
