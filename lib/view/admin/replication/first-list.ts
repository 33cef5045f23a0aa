import { GeoError } from '../../../errors.ts'
import type { Visit } from '../page.ts'
import type { AdminSources } from '../sources.ts'

/**
 * Where `/replication` and `/replication/widgets` lead (GB.J): on a secondary to its own lists, on the primary to those of the
 * site that is chosen, or else to the sites.
 */
export const firstList =
  (sources: AdminSources) =>
  async ({ request, links }: Visit): Promise<string> => {
    const { sites, settings } = sources
    await sites.refresh()
    const asked = {
      site: request.query['site'] ?? request.params['id'],
      type: request.query['type'] ?? request.params['plural'],
    }
    const plurals = settings.replicables.map(({ names }) => names.plural)
    const plural = asked.type === undefined ? plurals[0] : plurals.find((each) => each === asked.type)
    if (plural === undefined) throw new GeoError('PAGE_UNKNOWN', 'There is no such type')
    const secondaries = sites.all.filter(({ primary }) => !primary)
    const chosen = secondaries.find(({ id }) => id === asked.site)
    const site = chosen ?? (sites.role === 'secondary' ? sites.me : secondaries.length === 1 ? secondaries[0] : null)
    return site ? links.replication(site.id, plural) : links.sites
  }
