import type { Knex } from 'knex'
import { stateTableOf } from '../../../blob/primary-checksum.ts'
import type { Replicable } from '../../../blob/replicable.ts'
import { wantedRows } from '../../../blob/scope.ts'
import { bounded, run } from '../../../databases.ts'
import { type Check, no, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

/** At each end of the key order: no more rows of the host are looked at than twice this. */
const ROWS_PER_END = 5000

/** On the primary: rows without a state are never hashed. A pass gives them one within a minute. */
export function everyRowHasState({ gate }: TypeCheckSources, main: Knex, replicable: Replicable): Check {
  const { table } = stateTableOf(replicable)
  return {
    name: `Every row with a file has a state in ${table}`,
    async ask() {
      if (replicable.verificationState === 'columns') return skipped('The states are columns of the rows')
      if (!gate.replicationEnabled(replicable)) return skipped('The flag is off: they come when it is on')
      const ends = [await lookAt(main, replicable, 'asc'), await lookAt(main, replicable, 'desc')]
      const missing = [...new Set(ends.flatMap(({ ids }) => ids))]
      if (missing.length === 0) return yes(`none is missing among the first and the last ${ROWS_PER_END} rows`)
      return no(
        `${missing.length} or more have none, among them ${missing
          .slice(0, 3)
          .map((id) => `#${id}`)
          .join(', ')}`,
        'Look whether a process of the primary works (`work`): it adds what is missing within a minute, while the flag is on.',
      )
    },
  }
}

async function lookAt(main: Knex, replicable: Replicable, order: 'asc' | 'desc'): Promise<{ ids: string[] }> {
  const { table, key } = stateTableOf(replicable)
  const { keyColumn, keyType } = replicable
  return bounded(main, async (trx) => {
    // The bound first, by the key's own index: `available` may let few rows through, and is not to be asked of all.
    const { rows: bounds } = await run<{ rows: { bound: string }[] }>(
      trx,
      `select bound::text as bound from (
         select ?? as bound from ?? order by ?? ${order} limit ${ROWS_PER_END}) as looked
       order by looked.bound ${order === 'asc' ? 'desc' : 'asc'} limit 1`,
      [keyColumn, replicable.table, keyColumn],
    )
    const [last] = bounds
    if (!last) return { ids: [] }
    const within = wantedRows(trx, replicable, null)
      .select(trx.raw('?? as id', [keyColumn]))
      .whereRaw(`?? ${order === 'asc' ? '<=' : '>='} ?::${keyType}`, [keyColumn, last.bound])
    const { rows } = await run<{ rows: { id: string }[] }>(
      trx,
      `select w.id::text as id from (?) as w where not exists (select from ?? s where s.?? = w.id) limit 100`,
      [within, table, key],
    )
    return { ids: rows.map(({ id }) => id) }
  })
}
