import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { awaitChecksum } from './primary-state.ts'

/**
 * The host wrote a row: in the same transaction its file is marked to be hashed, where it has one. `builder` only puts the
 * statement together.
 */
export async function requestChecksum(
  trx: Pick<Knex, 'raw'>,
  builder: Knex,
  replicable: Replicable,
  recordId: string,
  change: 'created' | 'updated',
): Promise<void> {
  const available = wantedRows(builder, replicable, null)
    .select(builder.raw('??', [replicable.keyColumn]))
    .whereRaw(`?? = ?::text::${replicable.keyType}`, [replicable.keyColumn, recordId])
  await awaitChecksum(trx, replicable, recordId, change, available)
}
