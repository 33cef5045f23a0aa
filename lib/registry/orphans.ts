import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import { giveWay } from '../give-way.ts'
import { SYNC_STATE } from './sync-state.ts'

/**
 * Holds the registries still until the end of the transaction: no row comes, goes or gets another file. False where they are
 * too busy now.
 */
export async function holdRegistries(trx: Knex.Transaction, sharing: readonly Replicable[]): Promise<boolean> {
  await giveWay(trx)
  const tables = sharing.map(({ names }) => names.registryTable)
  try {
    await run(trx, `lock table ${tables.map(() => '??').join(', ')} in share mode`, tables)
    return true
  } catch (reason) {
    if ((reason as { code?: string }).code === '55P03') return false
    throw reason
  }
}

/** Those of the keys under which registry rows have, or had, a file. */
export async function keysInRegistries(
  trx: Knex.Transaction,
  sharing: readonly Replicable[],
  keys: readonly string[],
): Promise<Set<string>> {
  const known = new Set<string>()
  for (const { names } of sharing) {
    const { rows } = await run<{ rows: { key: string }[] }>(
      trx,
      `select k.key from unnest(?::text[]) as k(key)
       where exists (select from ?? r where r.blob_key = k.key)
         or k.key in (select unnest(superseded_keys) from ?? where superseded_keys is not null)`,
      [keys, names.registryTable, names.registryTable],
    )
    for (const row of rows) known.add(row.key)
  }
  return known
}

// One by one, for the index of states: the registries are held still meanwhile, however many rows they have.
const UNSETTLED = [SYNC_STATE.pending, SYNC_STATE.started, SYNC_STATE.failed].join()

/** The records whose file is on its way, or may be there already under a key that the registry does not know; up to `limit`. */
export async function unsettledIds(trx: Knex.Transaction, { names }: Replicable, limit: number): Promise<string[]> {
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `select ??::text as id from ?? where state = any('{${UNSETTLED}}') limit ?`,
    [names.foreignKey, names.registryTable, limit],
  )
  return rows.map((row) => row.id)
}
