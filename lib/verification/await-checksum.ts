import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { awaitChecksum } from './primary-state.ts'

/** The host wrote a row: in the same transaction its file is marked to be hashed, where it has one. */
export async function requestChecksum(
  trx: Knex.Transaction,
  replicable: Replicable,
  recordId: string,
  change: 'created' | 'updated',
): Promise<void> {
  const available = wantedRows(trx, replicable, null)
    .select(trx.raw('??', [replicable.keyColumn]))
    .whereRaw(`?? = ?::${replicable.keyType}`, [replicable.keyColumn, recordId])
  await awaitChecksum(trx, replicable, recordId, change, available)
}
