import type { Knex } from 'knex'
import { stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'

/** Rows of what the SDK keeps about the host's, written and read directly. */

export type Columns = Record<string, unknown>

/** Inserts a registry row; columns that are not given keep their defaults. */
export async function addRegistryRow(
  tracking: Knex,
  { names }: Replicable,
  id: string,
  columns: Columns = {},
): Promise<void> {
  await tracking(names.registryTable).insert({ [names.foreignKey]: id, created_at: tracking.fn.now(), ...columns })
}

/** The registry row of a record, or undefined. */
export async function registryRow(tracking: Knex, { names }: Replicable, id: string): Promise<Columns | undefined> {
  return tracking(names.registryTable)
    .where({ [names.foreignKey]: id })
    .first()
}

/** Writes columns of the primary's verification state of a record, wherever its type keeps them. */
export async function writeState(main: Knex, replicable: Replicable, id: string, state: Columns): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  if (replicable.verificationState === 'separate') {
    await main(table)
      .insert({ [key]: id, ...state })
      .onConflict(key)
      .merge()
  } else if (Object.keys(state).length > 0) {
    await main(table)
      .where({ [key]: id })
      .update(state)
  }
}

/** The row that holds the primary's verification state of a record, or undefined. */
export async function stateRow(main: Knex, replicable: Replicable, id: string): Promise<Columns | undefined> {
  const { table, key } = stateTableOf(replicable)
  return main(table)
    .where({ [key]: id })
    .first()
}

/** A moment so many seconds from now on the database's clock; negative is past. */
export function secondsFromNow(db: Knex, seconds: number): Knex.Raw {
  return db.raw("clock_timestamp() + ? * interval '1 second'", [seconds])
}
