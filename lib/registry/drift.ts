import type { Knex } from 'knex'
import { run } from '../databases.ts'

/**
 * How a site can have come away from the primary without being told:
 * - row_without_registry: the word of a new row was lost.
 * - registry_without_row: the word of a deleted row was lost.
 * - key_changed: a row names another file than the one that is here.
 * - checksum_unknown: the primary recorded a checksum, and the copy here was never compared with it.
 * - checksum_changed: the primary recorded another checksum than the one that the copy here was verified by.
 * - file_without_either: a file in the store that no row and no registry row names.
 */
export const DRIFT_KINDS = Object.freeze([
  'row_without_registry',
  'registry_without_row',
  'key_changed',
  'checksum_unknown',
  'checksum_changed',
  'file_without_either',
] as const)
export type DriftKind = (typeof DRIFT_KINDS)[number]

/** How often a kind of drift of a type has been found and mended since the tracking database was made. */
export interface DriftCount {
  readonly replicable: string
  readonly kind: DriftKind
  readonly count: number
  readonly lastFoundAt: Date
}

export async function addDrift(db: Knex, replicableName: string, kind: DriftKind, count: number): Promise<void> {
  await run(
    db,
    `insert into geo_drift_counts as d (replicable_name, kind, count, last_found_at) values (?, ?, ?, clock_timestamp())
     on conflict (replicable_name, kind) do update set count = d.count + excluded.count, last_found_at = excluded.last_found_at`,
    [replicableName, kind, count],
  )
}

/** Only what was ever found. */
export async function listDrift(db: Knex): Promise<DriftCount[]> {
  const { rows } = await run<{ rows: (Omit<DriftCount, 'count'> & { count: string })[] }>(
    db,
    `select replicable_name as "replicable", kind, count::text, last_found_at as "lastFoundAt"
     from geo_drift_counts order by replicable_name, kind`,
  )
  return rows.map((row) => ({ ...row, count: Number(row.count) }))
}
