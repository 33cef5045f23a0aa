import assert from 'node:assert/strict'
import { countPrimary } from '../verification/counts.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { stateRow } from './rows.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, type Subject, stateOf } from './subject.ts'

/*
 * GB.M.7. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | with_verification_state, checksummed and not_checksummed scopes | there are no model scopes: the states are counted, and that is asserted |
 * | a state row is created on save | when the host says `created`, in its transaction: asserted |
 * | the log of timeouts | a lease that ended is logged as a take-over: see the specs of the log |
 */

/** The suite 'a verifiable model for verification state'. */
export function aVerifiableModel({ describe, it, beforeEach }: TestRunner, { replicable, bench }: Subject): void {
  describe('a verifiable model for verification state', () => {
    beforeEach(() => bench().reset())

    it('checksummed and not checksummed records are told apart', async () => {
      const { make, main, primary } = bench()
      const checksummed = await make.row({ verification: 'succeeded' })
      await make.row({ verification: 'failed' })
      await make.row({ state: { verification_state: V.pending } })
      assertColumns(await stateOf(bench(), checksummed.id), { verification_state: V.succeeded })
      const counts = await countPrimary(main, primary.type, { enabled: true })
      assert.deepEqual(counts, { total: 3, checksummed: 1, checksumFailed: 1, corrupt: 0 })
    })

    if (replicable.verificationState === 'separate') {
      const cases = [
        { when: 'on the primary, of a record with a file', added: true, on: 'primary', flag: true, withFile: true },
        { when: 'on a secondary', added: false, on: 'secondary', flag: true, withFile: true },
        { when: 'while verification is disabled', added: false, on: 'primary', flag: false, withFile: true },
        { when: 'of a record without a file', added: false, on: 'primary', flag: true, withFile: false },
      ] as const
      for (const { when, added, on, flag, withFile } of cases) {
        it(`a state row is ${added ? '' : 'not '}created on save ${when}`, async () => {
          const { make, main, primary } = bench()
          const { id, row } = await make.row({ withFile })
          bench().switchFlag(flag)
          const { geo, type } = bench()[on]
          await main.transaction((trx) => geo.replicator(type).created(row, trx))
          assert.equal((await stateRow(main, primary.type, id)) !== undefined, added)
        })
      }

      it('a state row goes with its record', async () => {
        const { make, main, primary } = bench()
        const { id } = await make.row({ verification: 'succeeded' })
        await main(primary.type.table)
          .where({ [primary.type.keyColumn]: id })
          .delete()
        assert.equal(await stateRow(main, primary.type, id), undefined)
      })
    }

    for (const from of ['pending', 'failed'] as const) {
      it(`a ${from} batch is logged for debugging, with the keys of its records`, async () => {
        const { make, primary } = bench()
        const { id } = await make.row({ state: { verification_state: V[from] } })
        await primary.parts.sources.hash.claim()
        const [line] = primary.log.lines
        assert.equal(line?.level, 'debug')
        assert.equal(line.message, 'Batch verification state transition')
        const table = replicable.verificationState === 'separate' ? replicable.names.stateTable : replicable.table
        assertColumns(line.fields, { table, count: 1, from, to: 'started', ids: id })
      })
    }
  })
}
