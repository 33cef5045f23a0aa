import type { Knex } from 'knex'
import { run } from '../databases.ts'
import { isoSeconds } from '../iso-time.ts'

/** The door to geo_stores: which store each type of a site lies in. In the site's writable database. */

export async function recordedStore(db: Knex, replicableName: string, siteName: string): Promise<string | null> {
  const row = await db('geo_stores')
    .where({ replicable_name: replicableName, site_name: siteName })
    .first<{ store_id: string } | undefined>('store_id')
  return row?.store_id ?? null
}

/** False where another process recorded a different store at the same moment. */
export async function recordStore(
  db: Knex,
  replicableName: string,
  siteName: string,
  storeId: string,
): Promise<boolean> {
  await db('geo_stores')
    .insert({ replicable_name: replicableName, site_name: siteName, store_id: storeId })
    .onConflict()
    .ignore()
  return (await recordedStore(db, replicableName, siteName)) === storeId
}

/** The types whose store was not swept for so long; one that never was counts from its first use. */
export async function storesToSweep(db: Knex, siteName: string, everyMs: number): Promise<string[]> {
  const { rows } = await run<{ rows: { name: string }[] }>(
    db,
    `select replicable_name as name from geo_stores
     where site_name = ? and coalesce(swept_at, created_at) <= clock_timestamp() - ? * interval '1 ms' order by 1`,
    [siteName, everyMs],
  )
  return rows.map((row) => row.name)
}

/** All types that have ever lain in the same store as this one, declared or not. */
export async function typesInStoreOf(db: Knex, siteName: string, replicableName: string): Promise<string[]> {
  const { rows } = await run<{ rows: { name: string }[] }>(
    db,
    `select replicable_name as name from geo_stores where site_name = ? and store_id =
       (select store_id from geo_stores where site_name = ? and replicable_name = ?)`,
    [siteName, siteName, replicableName],
  )
  return rows.map((row) => row.name)
}

/** `orphanedFiles`: how many files that no row names were left in the store of these types; null where nobody looked. */
export async function noteSwept(
  db: Knex,
  siteName: string,
  replicableNames: readonly string[],
  orphanedFiles: number | null,
): Promise<void> {
  await run(
    db,
    `update geo_stores set swept_at = clock_timestamp(), orphaned_files = ?
     where site_name = ? and replicable_name = any(?::text[])`,
    [orphanedFiles, siteName, replicableNames],
  )
}

/** A store in which the last sweep left files that no row names. */
export interface OrphanedFiles {
  readonly replicableNames: readonly string[]
  readonly files: number
  /** ISO 8601. */
  readonly sweptAt: string
}

export async function storesWithOrphans(db: Knex, siteName: string): Promise<OrphanedFiles[]> {
  const { rows } = await run<{ rows: OrphanedFiles[] }>(
    db,
    `select array_agg(replicable_name::text order by replicable_name) as "replicableNames", orphaned_files::float8 as files,
       ${isoSeconds('max(swept_at)')} as "sweptAt"
     from geo_stores where site_name = ? and orphaned_files > 0 group by store_id, orphaned_files order by 1`,
    [siteName],
  )
  return rows
}
