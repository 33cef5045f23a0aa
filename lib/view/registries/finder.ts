import type { Knex } from 'knex'
import type { Replicable } from '../../blob/replicable.ts'
import { searchedIds } from '../../blob/searched-ids.ts'
import { GeoError } from '../../errors.ts'
import type { FeatureGate } from '../../feature.ts'
import {
  countRegistryUpTo,
  type RegistryEntry,
  type RegistryOrder,
  type RegistrySelection,
  type RegistryWindow,
  readRegistryPage,
} from '../../registry/registry-page.ts'
import type { SyncState } from '../../registry/sync-state.ts'
import type { VerificationState } from '../../verification/verification-state.ts'

export const REGISTRY_SORTS = Object.freeze([
  'ID_ASC',
  'ID_DESC',
  'VERIFIED_AT_ASC',
  'VERIFIED_AT_DESC',
  'LAST_SYNCED_AT_ASC',
  'LAST_SYNCED_AT_DESC',
] as const)
export type RegistrySort = (typeof REGISTRY_SORTS)[number]

/** What is looked for; all that is given must hold. Null and an empty list are as if not given. */
export interface RegistryFilters {
  /** Ids of registry rows. */
  readonly ids?: readonly string[] | null | undefined
  /** Keys of the host's rows. */
  readonly recordIds?: readonly string[] | null | undefined
  readonly replicationState?: SyncState | null | undefined
  readonly verificationState?: VerificationState | null | undefined
  readonly keyword?: string | null | undefined
  /** Default `ID_ASC`. */
  readonly sort?: RegistrySort | null | undefined
}

/** Registry rows that were looked for. Nothing is read before it is asked for. */
export interface FoundRegistries {
  page(window: RegistryWindow): Promise<readonly RegistryEntry[]>
  /** How many there are, counted no further than one beyond the limit. */
  count(limit: number): Promise<number>
}

export const NO_REGISTRIES: FoundRegistries = Object.freeze({
  page: async () => [],
  count: async () => 0,
})

export interface FinderSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly gate: Pick<FeatureGate, 'replicationEnabled'>
}

/** As many rows as one search may mean. */
const MOST_FOUND = 10_000

/**
 * Finds registry rows of this site (GB.M.8), for those who may read them; for others there are none.
 * @throws GeoError `INVALID_REQUEST` for a filter or an order that this type does not have
 */
export function findRegistries(
  { databases, gate }: FinderSources,
  replicable: Replicable,
  filters: RegistryFilters,
  { mayRead }: { readonly mayRead: boolean },
): FoundRegistries {
  const { main, tracking } = databases
  if (!mayRead || !tracking) return NO_REGISTRIES
  const { ids, recordIds, replicationState, verificationState, keyword } = filters
  const sort = filters.sort ?? 'ID_ASC'
  const { className } = replicable.names
  // Without replication nothing is verified either.
  const verified = gate.replicationEnabled(replicable)
  const notEnabled = `is not supported because verification is not enabled for ${className}`
  if (!verified && Object.hasOwn(filters, 'verificationState')) refuse(`Filtering by verification_state ${notEnabled}`)
  if (!verified && sort.startsWith('VERIFIED_AT')) refuse(`Sorting by verified_at ${notEnabled}`)
  if (keyword && !replicable.search) {
    refuse(`Filtering by keyword is not supported because search method is not implemented for ${className}`)
  }

  const selection: RegistrySelection = {
    ...(ids && ids.length > 0 && { registryIds: ids }),
    ...(recordIds && recordIds.length > 0 && { recordIds }),
    ...(replicationState && { syncState: replicationState }),
    ...(verificationState && { verificationState }),
  }
  const selected = async (): Promise<RegistrySelection> => {
    if (!keyword) return selection
    const found = await searchedIds(main, replicable, keyword, MOST_FOUND + 1)
    if (found.length > MOST_FOUND) refuse(`More than ${MOST_FOUND} rows match this keyword; say more of it`)
    return { ...selection, recordIds: recordIds?.length ? found.filter((id) => recordIds.includes(id)) : found }
  }
  return Object.freeze({
    page: async (window: RegistryWindow) =>
      readRegistryPage(tracking, replicable, await selected(), orderOf(sort), window),
    count: async (limit: number) => countRegistryUpTo(tracking, replicable, await selected(), limit),
  })
}

export function orderOf(sort: RegistrySort): RegistryOrder {
  const [, what, direction] = /^(ID|VERIFIED_AT|LAST_SYNCED_AT)_(ASC|DESC)$/.exec(sort) ?? []
  const by = { ID: 'id', VERIFIED_AT: 'verifiedAt', LAST_SYNCED_AT: 'lastSyncedAt' } as const
  return { by: by[what as keyof typeof by], descending: direction === 'DESC' }
}

function refuse(reason: string): never {
  throw new GeoError('INVALID_REQUEST', reason)
}
