import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { keyOfRow, type RowKey } from './key-of-row.ts'
import { judgingChecksum, type PrimaryChecksum, stateTableOf, toPrimaryChecksum } from './primary-checksum.ts'
import type { Replicable } from './replicable.ts'
import type { SelectiveSync } from './selective-sync.ts'
import { wantedAmong } from './source.ts'

/** A record and what the primary knows of its bytes, as both were at one moment. */
export type KnownBlob = RowKey & {
  readonly id: string
  /** The host's row. */
  readonly row: Readonly<Record<string, unknown>>
  /** Another whenever the row has changed. */
  readonly version: string
  /** Has a file as far as `available` says, and is in scope of what is selected. */
  readonly wanted: boolean
  readonly checksum: PrimaryChecksum
}

interface KnownRow extends Record<string, unknown> {
  geo_record_id: string
  geo_row_version: string
  geo_wanted: boolean
  geo_checksum: Buffer | null
  geo_failure: string | null
}

/**
 * Those of the records with these keys that exist, by key. One statement: a checksum is never taken for that of another version
 * of the row. Only a secondary passes a selection.
 */
export async function loadKnownBlobs(
  db: Knex,
  replicable: Replicable,
  ids: readonly string[],
  selection: SelectiveSync | null = null,
): Promise<Map<string, KnownBlob>> {
  const { table, key: stateKey } = stateTableOf(replicable)
  const { keyColumn, keyType } = replicable
  const rows = await bounded(db, async (trx) => {
    const found = await run<{ rows: KnownRow[] }>(
      trx,
      `select h.*, h.??::text as geo_record_id, h.xmin::text as geo_row_version, h.?? in (?) as geo_wanted,
         ${judgingChecksum(replicable, 's')} as geo_checksum, s.verification_failure as geo_failure
       from ?? as h left join ?? as s on s.?? = h.?? and s.?? = any(?::${keyType}[]) where h.?? = any(?::${keyType}[])`,
      [
        keyColumn,
        keyColumn,
        wantedAmong(trx, replicable, ids, selection).select(keyColumn),
        replicable.table,
        table,
        stateKey,
        keyColumn,
        stateKey,
        ids,
        keyColumn,
        ids,
      ],
    )
    return found.rows
  })
  return new Map(rows.map((row) => [row.geo_record_id, knownOf(replicable, row)]))
}

/** The record with this key, or null. */
export async function loadKnownBlob(db: Knex, replicable: Replicable, id: string): Promise<KnownBlob | null> {
  return (await loadKnownBlobs(db, replicable, [id])).get(id) ?? null
}

function knownOf(
  replicable: Replicable,
  { geo_record_id: id, geo_row_version: version, geo_wanted: wanted, geo_checksum, geo_failure, ...row }: KnownRow,
): KnownBlob {
  const checksum = toPrimaryChecksum({ checksum: geo_checksum, failure: geo_failure })
  return { id, row, version, wanted, checksum, ...keyOfRow(replicable, row, id) }
}
