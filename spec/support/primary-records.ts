import type { Knex } from 'knex'
import { stateTableOf } from '../../lib/blob/primary-checksum.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { writeState } from '../../lib/testing/rows.ts'
import { addHostRow } from './fixture-rows.ts'

/** A row of the host's with the given columns of verification state, wherever its type keeps them. Returns its key. */
export async function addRecord(
  main: Knex,
  replicable: Replicable,
  filePath: string | null,
  state: object = {},
): Promise<string> {
  const id = await addHostRow(main, replicable, { filePath })
  await changeState(main, replicable, id, state)
  return id
}

export async function stateOf(main: Knex, replicable: Replicable, id: string) {
  const { table, key } = stateTableOf(replicable)
  return main(table)
    .where({ [key]: id })
    .first()
}

export function changeState(main: Knex, replicable: Replicable, id: string, change: object): Promise<void> {
  return writeState(main, replicable, id, { ...change })
}
