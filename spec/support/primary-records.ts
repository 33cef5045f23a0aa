import type { Knex } from 'knex'
import { stateTableOf } from '../../lib/blob/primary-checksum.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { addHostRow } from './fixture-rows.ts'

/** A row of the host's with the given columns of verification state, wherever its type keeps them. Returns its key. */
export async function addRecord(
  main: Knex,
  replicable: Replicable,
  filePath: string | null,
  state: object = {},
): Promise<string> {
  const id = await addHostRow(main, replicable, { filePath })
  const { table, key } = stateTableOf(replicable)
  if (replicable.verificationState === 'separate') await main(table).insert({ [key]: id, ...state })
  else if (Object.keys(state).length > 0)
    await main(table)
      .where({ [key]: id })
      .update(state)
  return id
}

export async function stateOf(main: Knex, replicable: Replicable, id: string) {
  const { table, key } = stateTableOf(replicable)
  return main(table)
    .where({ [key]: id })
    .first()
}

export async function changeState(main: Knex, replicable: Replicable, id: string, change: object): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  await main(table)
    .where({ [key]: id })
    .update(change)
}
