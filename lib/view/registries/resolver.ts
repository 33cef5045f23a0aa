import type { Replicable } from '../../blob/replicable.ts'
import type { SiteDirectory } from '../../site.ts'
import type { Site } from '../../site-table.ts'
import {
  type FinderSources,
  type FoundRegistries,
  findRegistries,
  NO_REGISTRIES,
  type RegistryFilters,
} from './finder.ts'

export interface ResolverSources extends FinderSources {
  readonly sites: Pick<SiteDirectory, 'me'>
}

/**
 * The registries of a type as a site shows them (GB.M.9): none for those who may not read them, none of another site, whose
 * tracking database is its own, and none while the flag of the type is off.
 * @throws GeoError `INVALID_REQUEST` as the finder
 */
export function resolveRegistries(
  sources: ResolverSources,
  site: Pick<Site, 'id' | 'primary'>,
  replicable: Replicable,
  filters: RegistryFilters,
  reader: { readonly mayRead: boolean },
): FoundRegistries {
  const isHere = site.id === sources.sites.me?.id && !site.primary
  if (!isHere || !sources.gate.replicationEnabled(replicable)) return NO_REGISTRIES
  return findRegistries(sources, replicable, filters, reader)
}
