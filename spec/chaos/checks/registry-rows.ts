import { nameOf } from '../ledger.ts'
import { type SecondaryScene, TYPE_NAMES, TYPES } from './scene.ts'

export interface RegistryRow {
  readonly id: string
  readonly state: number
  readonly verification: number
  readonly key: string | null
  readonly leaves: boolean
  readonly superseded: readonly string[] | null
  readonly failure: string | null
}

/** All rows of both registries by record; of several for one record each. */
export async function registryRows({
  tracking,
}: Pick<SecondaryScene, 'tracking'>): Promise<Map<string, RegistryRow[]>> {
  const rows = new Map<string, RegistryRow[]>()
  for (const type of TYPE_NAMES) {
    const { registry, key } = TYPES[type]
    const found = await tracking<RegistryRow>(
      `select ${key}::text as id, state, verification_state as verification, blob_key as key,
         removal_requested_at is not null as leaves, superseded_keys as superseded,
         concat_ws(': ', error_code, coalesce(last_sync_failure, verification_failure)) as failure
       from ${registry}`,
    )
    for (const row of found) rows.set(nameOf(type, row.id), [...(rows.get(nameOf(type, row.id)) ?? []), row])
  }
  return rows
}
