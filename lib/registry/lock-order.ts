import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'

/**
 * Locks the rows of these records until the end of the transaction, one after the other in the order of the registry. Called by
 * whoever then writes several rows and waits for those that others have locked: two that both begin with the first of the rows
 * they share cannot each wait for what the other has.
 */
export async function lockInOrder(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  recordIds: readonly string[],
): Promise<void> {
  if (recordIds.length === 0) return
  await run(
    trx,
    `select count(*) from (select from ?? where ?? = any(?::${keyType}[]) order by id for no key update) as locked`,
    [names.registryTable, names.foreignKey, recordIds],
  )
}
