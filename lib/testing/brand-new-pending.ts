import assert from 'node:assert/strict'
import { claimRows } from '../registry/claims.ts'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Columns } from './rows.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/** The part of 'a Geo verifiable registry' that tells which rows nothing has ever happened to. */
export function brandNewPending({ describe, it }: TestRunner, { bench }: Subject): void {
  describe('brand_new_pending?', () => {
    async function brandNew(columns: Columns): Promise<boolean[]> {
      const { make, tracking, secondary } = bench()
      await make.registry({ columns })
      const limits = { rows: 10, byteBudget: 1_000_000 }
      const claimed = await tracking.transaction((trx) => claimRows(trx, secondary.type, '1', limits))
      return claimed.map((row) => row.brandNew)
    }

    it('is true of a pending row with every other field as it was made', async () => {
      assert.deepEqual(await brandNew({}), [true])
    })

    const used: Record<string, Columns> = {
      failed: { state: S.failed },
      'pending with last_synced_at': { last_synced_at: new Date() },
      'with retry_at': { retry_at: new Date() },
      'with retry_count': { retry_count: 1 },
      'with last_sync_failure': { last_sync_failure: 'x' },
      'with verification succeeded': { verification_state: V.succeeded },
      'with verification failed': { verification_state: V.failed },
      'with verification started': { verification_state: V.started },
      'with verified_at': { verified_at: new Date() },
      'with verification_started_at': { verification_started_at: new Date() },
      'with verification_retry_at': { verification_retry_at: new Date() },
      'with verification_retry_count': { verification_retry_count: 1 },
      'with checksum_mismatch': { checksum_mismatch: true },
      'with a local checksum': { verification_checksum: Buffer.of(1, 2) },
      'with a mismatched checksum': { verification_checksum_mismatched: Buffer.of(1, 2) },
      'with verification_failure': { verification_failure: 'x' },
    }
    for (const [what, columns] of Object.entries(used)) {
      it(`is false of a row that is ${what}`, async () => {
        assert.deepEqual(await brandNew(columns), [false])
      })
    }
    for (const sync of ['started', 'synced'] as const) {
      it(`is not asked of a ${sync} row`, async () => {
        assert.deepEqual(await brandNew({ state: S[sync] }), [])
      })
    }
  })
}
