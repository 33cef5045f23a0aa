import type { Knex } from 'knex'
import {
  createRegistryTable,
  createVerificationStateTable,
  defineReplicable,
  localDisk,
  type Replicable,
  type SelectiveSync,
} from '../../lib/index.ts'

/** The host's row, as far as it matters. */
export interface HostRow {
  readonly id: string
  readonly owner: string | null
  readonly file_path: string | null
}

export type TypeName = 'widget' | 'gadget' | 'sketch'
export const TYPE_NAMES: readonly TypeName[] = ['widget', 'gadget', 'sketch']
export const OWNERS = ['ada', 'bob'] as const
export const TABLE_OF: Readonly<Record<TypeName, string>> = { widget: 'widgets', gadget: 'gadgets', sketch: 'sketches' }
/** The bytes of a sketch change under its key. */
export const MUTABLE: ReadonlySet<TypeName> = new Set(['sketch'])

function byOwner(query: Knex.QueryBuilder, { namespaceIds }: SelectiveSync): Knex.QueryBuilder {
  return query.where((rows) => rows.whereNull('owner').orWhereIn('owner', [...namespaceIds]))
}

export type SimTypes = Readonly<Record<TypeName, Replicable<HostRow>>>

/** Every way of keeping keys and checksums: bigint and uuid, beside the host's table and on it, bytes that change and that do not. */
export function declareTypes(root: string, beforeRemoval: () => Promise<void> = async () => undefined): SimTypes {
  const disk = localDisk({ root })
  const store = Object.freeze({
    ...disk,
    async remove(key: string) {
      await beforeRemoval()
      return disk.remove(key)
    },
  })
  const common = {
    store,
    blob: (row: HostRow) => row.file_path,
    available: (query: Knex.QueryBuilder) => query.whereNotNull('file_path'),
    scope: byOwner,
  }
  return {
    widget: defineReplicable<HostRow>({ ...common, name: 'widget', table: 'widgets', verificationState: 'separate' }),
    gadget: defineReplicable<HostRow>({
      ...common,
      name: 'gadget',
      table: 'gadgets',
      keyType: 'uuid',
      verificationState: 'columns',
    }),
    sketch: defineReplicable<HostRow>({
      ...common,
      name: 'sketch',
      table: 'sketches',
      verificationState: 'separate',
      immutable: false,
      checksum: 'sha256',
    }),
  }
}

/** The third type is the simulation's own; the others have tables in the fixture host's migrations. */
export async function createSketches(main: Knex, tracking: Knex): Promise<void> {
  await main.schema.createTable('sketches', (table) => {
    table.bigIncrements('id')
    table.text('name')
    table.text('owner')
    table.text('file_path')
  })
  await createVerificationStateTable(main, 'sketch', { table: 'sketches' })
  await createRegistryTable(tracking, 'sketch')
}

export function nameOf({ type, id }: { readonly type: TypeName; readonly id: string }): string {
  return `${type} ${id}`
}
