import type { Knex } from 'knex'
import type { Blob } from './blob.ts'
import { writeFile } from './disk.ts'
import type { Model, ModelRow } from './model.ts'
import { type HostRow, TABLE_OF, type TypeName } from './types.ts'
import type { World } from './world.ts'

/** A host that keeps the rules: file first, row and event in one transaction, no file removed that another row still has. */

export async function insertRow(
  model: Model,
  world: World,
  trx: Knex.Transaction,
  row: { type: TypeName; id?: string; owner: string | null; key: string | null; blob: Blob | null },
): Promise<ModelRow> {
  const { type, owner, key, blob } = row
  if (key !== null && blob) storeFile(model, world, key, blob)
  const values = { name: 'sim', owner, file_path: key, ...(row.id !== undefined && { id: row.id }) }
  const [inserted]: HostRow[] = await trx(TABLE_OF[type]).insert(values).returning(['id', 'owner', 'file_path'])
  if (!inserted) throw new Error(`The row was not inserted into ${TABLE_OF[type]}`)
  await replicatorOf(world, type).created(inserted, trx)
  return { type, id: String(inserted.id), owner, key, changedSinceSeen: true, everOn: model.flag(type) }
}

/** Gives a row another file, or none. What it had is removed unless another row has it as well. */
export async function replaceFile(
  model: Model,
  world: World,
  row: ModelRow,
  key: string | null,
  blob: Blob | null,
): Promise<void> {
  const former = row.key
  if (key !== null && blob) storeFile(model, world, key, blob)
  await world.main.transaction(async (trx) => {
    const [updated]: HostRow[] = await trx(TABLE_OF[row.type])
      .where('id', row.id)
      .update({ file_path: key })
      .returning(['id', 'owner', 'file_path'])
    if (!updated) throw new Error(`${row.type} ${row.id} is not there`)
    await replicatorOf(world, row.type).updated(updated, trx)
  })
  Object.assign(row, { key, changedSinceSeen: true })
  dropFile(model, world, former)
}

export async function deleteRow(model: Model, world: World, row: ModelRow): Promise<void> {
  await world.main.transaction(async (trx) => {
    const table = TABLE_OF[row.type]
    const [deleted]: HostRow[] = await trx(table).where('id', row.id).delete().returning(['id', 'owner', 'file_path'])
    if (!deleted) throw new Error(`${row.type} ${row.id} is not there`)
    await replicatorOf(world, row.type).deleted(deleted, trx)
  })
  model.rows.splice(model.rows.indexOf(row), 1)
  model.graves.push({ type: row.type, id: row.id, key: row.key, everOn: row.everOn })
  dropFile(model, world, row.key)
}

function replicatorOf({ primary }: World, type: TypeName) {
  return primary.geo.replicator(primary.types[type])
}

function storeFile(model: Model, world: World, key: string, blob: Blob): void {
  writeFile(world.primary.root, key, blob)
  model.put(key, blob)
}

function dropFile(model: Model, world: World, key: string | null): void {
  if (key === null || model.usersOf(key).length > 0) return
  writeFile(world.primary.root, key, null)
  model.put(key, null)
}
