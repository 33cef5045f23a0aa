import assert from 'node:assert/strict'
import { countRegistry } from '../registry/counts.ts'
import { countPrimary } from '../verification/counts.ts'
import { VERIFICATION_STATE as V, VERIFICATION, type VerificationState } from '../verification/verification-state.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/** The part of 'a verifiable replicator' that counts. */
export function verificationCounters({ describe, it }: TestRunner, { bench }: Subject): void {
  describe('checksummed_count and checksum_failed_count', () => {
    const expected: Record<VerificationState, [checksummed: number, failed: number]> = {
      pending: [0, 0],
      started: [0, 0],
      succeeded: [1, 0],
      failed: [0, 1],
      disabled: [0, 0],
    }
    for (const state of VERIFICATION.states) {
      it(`are ${expected[state].join(' and ')} of a record that is ${state}`, async () => {
        const { main, primary, make } = bench()
        await make.row({ state: { verification_state: V[state] } })
        const { checksummed, checksumFailed } = await countPrimary(main, primary.type, { enabled: true })
        assert.deepEqual([checksummed, checksumFailed], expected[state])
      })
    }

    it('are 0 without records, and null while verification is disabled', async () => {
      const { main, primary } = bench()
      const none = { total: 0, checksummed: 0, checksumFailed: 0, corrupt: 0 }
      assert.deepEqual(await countPrimary(main, primary.type, { enabled: true }), none)
      const unknown = { total: null, checksummed: null, checksumFailed: null, corrupt: null }
      assert.deepEqual(await countPrimary(main, primary.type, { enabled: false }), unknown)
    })

    it('checksum_total_count follows the records', async () => {
      const { main, primary, make } = bench()
      const record = await make.row({ verification: 'succeeded' })
      assert.equal((await countPrimary(main, primary.type, { enabled: true })).total, 1)
      await main(primary.type.table)
        .where({ [primary.type.keyColumn]: record.id })
        .delete()
      assert.equal((await countPrimary(main, primary.type, { enabled: true })).total, 0)
    })
  })

  describe('verified_count, verification_failed_count and verification_total_count', () => {
    const expected: Record<VerificationState, [verified: number, failed: number, total: number]> = {
      pending: [0, 0, 1],
      started: [0, 0, 1],
      succeeded: [1, 0, 1],
      failed: [0, 1, 1],
      disabled: [0, 0, 0],
    }
    for (const state of VERIFICATION.states) {
      it(`are ${expected[state].join(', ')} of a synced copy that is ${state}`, async () => {
        const { tracking, secondary, make } = bench()
        await make.registry({ sync: 'synced', columns: { verification_state: V[state] } })
        const counts = await countRegistry(tracking, secondary.type, { enabled: true })
        assert.deepEqual([counts.verified, counts.verificationFailed, counts.verificationTotal], expected[state])
      })
    }

    it('count nothing of a row that is not synced, and are null while verification is disabled', async () => {
      const { tracking, secondary, make } = bench()
      await make.registry({ verification: 'succeeded' })
      const counts = await countRegistry(tracking, secondary.type, { enabled: true })
      assert.deepEqual([counts.verified, counts.verificationFailed, counts.verificationTotal], [0, 0, 0])
      const unknown = await countRegistry(tracking, secondary.type, { enabled: false })
      assert.deepEqual([unknown.verified, unknown.verificationFailed, unknown.verificationTotal], [null, null, null])
    })
  })
}
