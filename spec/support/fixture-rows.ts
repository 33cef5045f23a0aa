import type { Knex } from 'knex'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { insertSite } from '../../lib/site-table.ts'
import { addRegistryRow, type Columns, registryRow, secondsFromNow } from '../../lib/testing/rows.ts'
import type { SpecDatabases } from './databases.ts'

export { addRegistryRow, type Columns as RegistryColumns, registryRow, secondsFromNow } from '../../lib/testing/rows.ts'

/** Rows of the fixture host's tables and of what the SDK keeps about them, written directly. */

export const ENCRYPTION_KEY = Buffer.alloc(32, 7)

/** Types as the rooms take them: without the host's row type. */
export function untyped<Row>(replicable: Replicable<Row>): Replicable {
  return replicable as Replicable
}

/** A primary `rome` and secondaries with the given names. */
export async function addSites(main: Knex, ...secondaries: string[]): Promise<void> {
  await insertSite(main, ENCRYPTION_KEY, { name: 'rome', url: 'http://rome.test', primary: true })
  for (const name of secondaries) await insertSite(main, ENCRYPTION_KEY, { name, url: `http://${name}.test` })
}

/** Inserts a row into the host's table of a type and returns its key. `filePath` null: no file yet. */
export async function addHostRow(
  main: Knex,
  { table }: Replicable,
  values: { id?: string; filePath?: string | null } = {},
): Promise<string> {
  const { id, filePath = 'some/file' } = values
  const [row] = await main(table)
    .insert({ name: 'fixture', file_path: filePath, ...(id !== undefined && { id }) })
    .returning('id')
  return String(row.id)
}

/** A row of the host and its registry row, which the replica has too. */
export async function addRegistered(
  { main, tracking, caughtUp }: Pick<SpecDatabases, 'main' | 'tracking' | 'caughtUp'>,
  type: Replicable,
  columns: Columns = {},
): Promise<{ recordId: string; registryId: string }> {
  const recordId = await addHostRow(main, type)
  await addRegistryRow(tracking, type, recordId, columns)
  const row = await registryRow(tracking, type, recordId)
  await caughtUp()
  return { recordId, registryId: String(row?.['id']) }
}

/** Every registry row of a type, in order. */
export async function registryRows(tracking: Knex, { names }: Replicable): Promise<Columns[]> {
  return tracking(names.registryTable).orderBy('id')
}

/** The keys that a registry has, in key order. */
export async function registeredIds(tracking: Knex, { names }: Replicable): Promise<string[]> {
  const rows: { id: string }[] = await tracking(names.registryTable)
    .orderBy(names.foreignKey)
    .select(tracking.raw('??::text as id', [names.foreignKey]))
  return rows.map((row) => row.id)
}

/** A lease of somebody's on records of widgets; with seconds below zero, one that has ended and is not taken over yet. */
export async function addLease(
  db: Knex,
  { id, kind = 'sync', recordIds = [], secondsLeft = 60 }: NewLease = {},
): Promise<string> {
  const [lease] = await db('geo_leases')
    .insert({
      ...(id !== undefined && { id }),
      kind,
      replicable_name: 'widget',
      holder: db.raw('gen_random_uuid()'),
      record_ids: recordIds,
      expires_at: secondsFromNow(db, secondsLeft),
    })
    .returning('id')
  return String(lease.id)
}

export interface NewLease {
  readonly id?: string
  readonly kind?: string
  readonly recordIds?: readonly string[]
  readonly secondsLeft?: number
}
