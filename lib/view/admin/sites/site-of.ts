import { GeoError } from '../../../errors.ts'
import type { Site } from '../../../site-table.ts'
import type { Visit } from '../page.ts'
import type { AdminSources } from '../sources.ts'

/**
 * The site that an address names, as the table is now: another process may have changed it a moment ago.
 * @throws GeoError `PAGE_UNKNOWN`
 */
export async function siteOf({ sites }: AdminSources, { request }: Pick<Visit, 'request'>): Promise<Site> {
  await sites.refresh()
  const site = sites.all.find(({ id }) => id === request.params['id'])
  if (!site) throw new GeoError('PAGE_UNKNOWN', 'There is no such site')
  return site
}
