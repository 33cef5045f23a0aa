import type { Assembly } from '../assembly.ts'
import { GeoError } from '../errors.ts'
import type { Site } from '../site-table.ts'
import { statusesOf } from '../view/status/read.ts'
import type { ShownSite } from './status-text.ts'

/** The statuses of the named site; without a name of this site, on the primary of all. */
export async function knownStatuses(assembly: Assembly, name: string | undefined): Promise<ShownSite[]> {
  const { sites, settings } = assembly
  await sites.refresh()
  const wanted = wantedSites(assembly, name)
  const statuses = await statusesOf(assembly, wanted)
  return wanted.flatMap((site) => {
    const status = statuses.get(site.id)
    return status ? [{ site, status, replicables: settings.replicables }] : []
  })
}

function wantedSites({ sites }: Assembly, name: string | undefined): readonly Site[] {
  if (name === undefined) return sites.requireMe().primary ? sites.all : [sites.requireMe()]
  const site = sites.byName(name)
  if (!site) throw new GeoError('SITE_UNKNOWN', `No site is named "${name}" in geo_nodes`)
  return [site]
}
