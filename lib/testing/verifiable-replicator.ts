import assert from 'node:assert/strict'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import { EVENT_NAMES } from '../event/event-log.ts'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { registryRow, stateRow } from './rows.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, registryOf, type Subject, stateOf } from './subject.ts'
import { verificationCounters } from './verification-counters.ts'

/*
 * GB.M.4. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | verification_enabled? on the primary by the force-checksumming flag | there is no such flag: with the type off nothing is hashed, so that a type that is not released costs nothing. Off is asserted on both sites |
 * | backfill_verification_state_table executed with the force flag on | the same |
 * | verification_failed_count needs a registry that is forced back to synced | it counts a copy also while it is fetched again. Asserted without the force |
 * | verification_total_count 0 if disabled, 1 if started | asserted |
 * | remaining_verification_batch_count, remaining_reverification_batch_count | nobody enqueues workers by a count: a finished batch claims the next until nothing waits |
 * | reverify_batch! uses 1000 | see the specs of maintain-states; the number is not a host's business |
 * | verify_batch calls verify on each; replicator_batch_to_verify | asserted by the verdicts of a whole batch |
 * | model_record_id_batch_to_verify asks for failed ones only for the remainder | a tenth of each batch is kept for them, so that none waits for ever. That both are in one batch is asserted |
 * | fail_verification_timeouts | a lease ends with its process, long before any timeout; the last net is in the specs of the room |
 * | checksum_succeeded makes every verified copy pending | not one that was verified by that very checksum: it would be hashed twice |
 * | mutable? is the negation of immutable? | only `immutable` is there |
 * | ok_to_skip_download? | see 'a Geo verifiable registry' for brand_new_pending?, and the specs of lib/sync for the rule |
 */

/** The suite 'a verifiable replicator'. */
export function aVerifiableReplicator(runner: TestRunner, subject: Subject): void {
  const { describe, it, beforeEach } = runner
  const { replicable, bench } = subject

  describe('a verifiable replicator', () => {
    beforeEach(() => bench().reset())

    it('supports the event checksum_succeeded', async () => {
      assert.ok(EVENT_NAMES.includes('checksum_succeeded'))
    })

    describe('verification_enabled?', () => {
      for (const where of ['primary', 'secondary'] as const) {
        for (const on of [true, false]) {
          it(`is ${on} on the ${where} with the replication flag ${on ? 'on' : 'off'}`, async () => {
            const { make, caughtUp } = bench()
            await make.registry({ sync: 'synced', of: await make.row({ state: { verification_state: V.pending } }) })
            await caughtUp()
            bench().switchFlag(on)
            const { hash, verify } = bench()[where].parts.sources
            const batch = await (where === 'primary' ? hash : verify).claim()
            assert.equal(batch !== null, on)
          })
        }
      }
    })

    verificationCounters(runner, subject)

    it('trigger_background_verification: which jobs run on which role', async () => {
      const { jobs } = bench().primary.parts
      const roleOf = (name: string) => jobs.find((job) => job.name === name)?.role
      assert.deepEqual(['verify-primary', 'reverify', 'backfill-states'].map(roleOf), Array(3).fill('primary'))
      assert.equal(roleOf('verify'), 'secondary')
      assert.equal(roleOf('end-dead-leases'), 'any')
    })

    if (replicable.verificationState === 'separate') {
      for (const on of [true, false]) {
        it(`backfill_verification_state_table ${on ? 'adds' : 'does not add'} states with the flag ${on ? 'on' : 'off'}`, async () => {
          const { make, main, primary } = bench()
          const record = await make.row()
          bench().switchFlag(on)
          await bench().runJob(primary, 'backfill-states')
          assert.equal((await stateRow(main, primary.type, record.id)) !== undefined, on)
        })
      }
    }

    it('a batch takes pending records and failed ones whose retry is due, on the primary', async () => {
      const { make, primary } = bench()
      const records = [
        await make.row({ state: { verification_state: V.pending } }),
        await make.row({ verification: 'failed' }),
      ]
      const batch = await primary.parts.sources.hash.claim()
      assert.deepEqual(batch?.claimed.map(({ id }) => id).sort(), records.map(({ id }) => id).sort())
      for (const { id } of records) assertColumns(await stateOf(bench(), id), { verification_state: V.started })
    })

    it('a batch takes pending copies and failed ones whose retry is due, on a secondary', async () => {
      const { make, secondary } = bench()
      const copies = [
        await make.registry({ sync: 'synced' }),
        await make.registry({ sync: 'synced', verification: 'failed' }),
      ]
      const batch = await secondary.parts.sources.verify.claim()
      assert.deepEqual(batch?.claimed.map(({ id }) => id).sort(), copies.map(({ id }) => id).sort())
      for (const { id } of copies) assertColumns(await registryOf(bench(), id), { verification_state: V.started })
    })

    describe('geo_handle_after_checksum_succeeded', () => {
      it('publishes the event with each success', async () => {
        const { make, primary } = bench()
        const record = await make.row({ state: { verification_state: V.pending } })
        await bench().work(primary.parts.sources.hash)
        const payload = { model_record_id: record.id }
        assert.deepEqual(await bench().events(), [{ event_name: 'checksum_succeeded', payload }])
      })

      it('publishes nothing with the flag off', async () => {
        const { make, primary } = bench()
        await make.row({ state: { verification_state: V.pending } })
        bench().switchFlag(false)
        assert.equal(await bench().work(primary.parts.sources.hash), 0)
        assert.deepEqual(await bench().events(), [])
      })

      it('publishes nothing on a secondary', async () => {
        const { make, secondary } = bench()
        await make.registry({ sync: 'synced', of: await make.row({ verification: 'succeeded' }) })
        await bench().caughtUp()
        assert.equal(await bench().work(secondary.parts.sources.verify), 1)
        assert.deepEqual(await bench().events(), [])
      })
    })

    describe('checksum_succeeded event consumption', () => {
      async function consumed(traits: 'succeeded' | 'succeeded by another' | 'pending' | 'no registry') {
        const { make, main, primary, secondary } = bench()
        const record = await make.row({ state: { verification_state: V.pending } })
        if (traits.startsWith('succeeded')) {
          const columns = traits === 'succeeded' ? {} : { verification_checksum: Buffer.from('01aa', 'hex') }
          await make.registry({ sync: 'synced', verification: 'succeeded', of: record, columns })
        }
        if (traits === 'pending') await make.registry({ sync: 'synced', of: record })
        await bench().work(primary.parts.sources.hash)
        assert.equal((await main('geo_events')).length, 1)
        await bench().runJob(secondary, 'events')
        return record
      }

      it('a copy that was verified by another checksum becomes pending', async () => {
        const { id } = await consumed('succeeded by another')
        assertColumns(await registryOf(bench(), id), { verification_state: V.pending })
      })

      it('a copy that was verified by that checksum stays so', async () => {
        const { id } = await consumed('succeeded')
        assertColumns(await registryOf(bench(), id), { verification_state: V.succeeded })
      })

      it('a pending copy stays pending', async () => {
        const { id } = await consumed('pending')
        assertColumns(await registryOf(bench(), id), { verification_state: V.pending })
      })

      it('a record without a registry row gets none', async () => {
        const { tracking, secondary } = bench()
        const { id } = await consumed('no registry')
        assert.equal(await registryRow(tracking, secondary.type, id), undefined)
      })

      it('does not happen on the primary', async () => {
        assert.equal(bench().primary.parts.jobs.find((job) => job.name === 'events')?.role, 'secondary')
      })
    })

    describe('primary_verification_succeeded?', () => {
      for (const [state, known] of [
        ['succeeded', true],
        ['pending', false],
      ] as const) {
        it(`is ${known} of a record that is ${state} for the first time`, async () => {
          const { make, main, primary } = bench()
          const { id } = await make.row(
            state === 'succeeded' ? { verification: state } : { state: { verification_state: V.pending } },
          )
          const checksums = await loadPrimaryChecksums(main, primary.type, [id])
          assert.equal((checksums.get(id)?.digest ?? null) !== null, known)
        })
      }
    })

    it('the state is tracked beside the model on the primary, and in the registry on a secondary', async () => {
      const { make, primary, secondary } = bench()
      const record = await make.row({ state: { verification_state: V.pending } })
      await make.registry({ sync: 'synced', of: record })
      await bench().work(primary.parts.sources.hash)
      assertColumns(await stateOf(bench(), record.id), { verification_state: V.succeeded })
      assertColumns(await registryOf(bench(), record.id), { verification_state: V.pending, verified_at: null })
      await bench().caughtUp()
      await bench().work(secondary.parts.sources.verify)
      assertColumns(await registryOf(bench(), record.id), { verification_state: V.succeeded, state: S.synced })
    })

    describe('integration', () => {
      it('the primary takes pending records to succeeded', async () => {
        const { make, primary } = bench()
        const records = [
          await make.row({ state: { verification_state: V.pending } }),
          await make.row({ state: { verification_state: V.pending } }),
        ]
        assert.equal(await bench().work(primary.parts.sources.hash), 1)
        for (const { id } of records) assertColumns(await stateOf(bench(), id), { verification_state: V.succeeded })
      })

      it('a secondary takes synced copies to succeeded', async () => {
        const { make, secondary } = bench()
        const copies = [
          await make.registry({ sync: 'synced', of: await make.row({ verification: 'succeeded' }) }),
          await make.registry({ sync: 'synced', of: await make.row({ verification: 'succeeded' }) }),
        ]
        await bench().caughtUp()
        assert.equal(await bench().work(secondary.parts.sources.verify), 1)
        for (const { id } of copies) assertColumns(await registryOf(bench(), id), { verification_state: V.succeeded })
      })
    })
  })
}
