import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { keyOfRow, type RowKey } from './key-of-row.ts'
import { judgingChecksum, type PrimaryChecksum, stateTableOf, toPrimaryChecksum } from './primary-checksum.ts'
import type { Replicable } from './replicable.ts'
import { wantedRows } from './scope.ts'

/** A record and what the primary knows of its bytes, as both were at one moment. */
export type KnownBlob = RowKey & {
  readonly id: string
  /** The host's row. */
  readonly row: Readonly<Record<string, unknown>>
  readonly available: boolean
  readonly checksum: PrimaryChecksum
}

interface KnownRow extends Record<string, unknown> {
  geo_available: boolean
  geo_checksum: Buffer | null
  geo_failure: string | null
}

/** The record with this key, or null. One statement: a checksum is never taken for that of another version of the row. */
export async function loadKnownBlob(db: Knex, replicable: Replicable, id: string): Promise<KnownBlob | null> {
  const { table, key: stateKey } = stateTableOf(replicable)
  const { keyColumn, keyType } = replicable
  return bounded(db, async (trx) => {
    const available = wantedRows(trx, replicable, null)
      .whereRaw(`?? = ?::${keyType}`, [keyColumn, id])
      .select(trx.raw('1'))
    const { rows } = await run<{ rows: KnownRow[] }>(
      trx,
      `select h.*, exists (?) as geo_available, ${judgingChecksum(replicable, 's')} as geo_checksum,
         s.verification_failure as geo_failure
       from ?? as h left join ?? as s on s.?? = h.?? where h.?? = ?::${keyType}`,
      [available, replicable.table, table, stateKey, keyColumn, keyColumn, id],
    )
    const [found] = rows
    if (!found) return null
    const { geo_available, geo_checksum: checksum, geo_failure: failure, ...row } = found
    const known = toPrimaryChecksum({ checksum, failure })
    return { id, row, ...keyOfRow(replicable, row, id), available: geo_available, checksum: known }
  })
}
