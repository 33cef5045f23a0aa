import type { Knex } from 'knex'
import { bounded } from '../databases.ts'
import type { GeoError } from '../errors.ts'
import { keyOfRow } from './key-of-row.ts'
import type { Replicable } from './replicable.ts'
import { wantedRows } from './scope.ts'
import type { SelectiveSync } from './selective-sync.ts'

/** The keys of files that the next rows name, in key order of the rows. */
export interface NamedKeys {
  readonly keys: readonly string[]
  /** One for each row whose key the host could not say. */
  readonly failures: readonly GeoError[]
  /** The row's key after which the next page begins; null at the end. */
  readonly next: string | null
}

/** Only the host's function can say the key of a row, so whoever wants all of them has to read all rows; a few at a time. */
export async function namedKeys(
  db: Knex,
  replicable: Replicable,
  after: string | null,
  limit: number,
  selection: SelectiveSync | null,
): Promise<NamedKeys> {
  return bounded(db, async (trx) => {
    const { keyColumn, keyType } = replicable
    const query = wantedRows(trx, replicable, selection).select('*', trx.raw('??::text as geo_record_id', [keyColumn]))
    if (after !== null) query.whereRaw(`?? > ?::${keyType}`, [keyColumn, after])
    const rows: { geo_record_id: string }[] = await query.orderBy(keyColumn).limit(limit)
    const named = rows.map((row) => keyOfRow(replicable, row, row.geo_record_id))
    const keys = named.map(({ key }) => key).filter((key) => key !== null)
    const failures = named.map(({ failure }) => failure).filter((failure) => failure !== null)
    return { keys, failures, next: rows.length === limit ? (rows.at(-1)?.geo_record_id ?? null) : null }
  })
}
