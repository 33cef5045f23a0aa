import type { Replicable } from '../../../blob/replicable.ts'
import { GeoError } from '../../../errors.ts'
import type { Site } from '../../../site-table.ts'
import type { SiteDetails } from '../../details/details.ts'
import type { Visit } from '../page.ts'
import { siteOf } from '../sites/site-of.ts'
import type { AdminSources } from '../sources.ts'

/** Which site and which type a page is about, by its address. */
export interface Place {
  readonly site: Site
  readonly replicable: Replicable
  readonly details: SiteDetails
}

/** @throws GeoError `PAGE_UNKNOWN` for a site or a type that there is none of (GB.J); `NOT_PRIMARY` for another site than one's own */
export async function placeOf(sources: AdminSources, visit: Visit): Promise<Place> {
  const site = await siteOf(sources, visit)
  const { plural } = visit.request.params
  const replicable = sources.settings.replicables.find(({ names }) => names.plural === plural)
  if (!replicable) throw new GeoError('PAGE_UNKNOWN', 'There is no such type')
  if (site.primary) throw new GeoError('PAGE_UNKNOWN', 'Registries are kept by secondaries, and this is the primary')
  return { site, replicable, details: sources.details.of(site, visit.asker) }
}
