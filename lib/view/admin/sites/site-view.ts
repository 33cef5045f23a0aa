import type { Replicable } from '../../../blob/replicable.ts'
import type { Site } from '../../../site-table.ts'
import type { SiteStatus, TypeProgress } from '../../status/fields.ts'
import { statusesOf } from '../../status/read.ts'
import type { AdminSources } from '../sources.ts'
import { healthOf, type SiteHealth } from './site-health.ts'

/** A site with what is known of it. */
export interface SiteView {
  readonly site: Site
  readonly status: SiteStatus | undefined
  readonly health: SiteHealth
  readonly isHere: boolean
}

export async function loadSiteViews(sources: AdminSources): Promise<SiteView[]> {
  const { sites } = sources
  // As the table is now: another process may have changed it a moment ago.
  await sites.refresh()
  const statuses = await statusesOf(sources, sites.all)
  return sites.all.map((site) => {
    const status = statuses.get(site.id)
    return { site, status, health: healthOf(site, status), isHere: site.id === sites.me?.id }
  })
}

/** What a status says of one type; null is what the site has not told, or its role has none of. */
export interface TypeView {
  readonly replicable: Replicable
  readonly title: string
  /** Whether the site has told anything of it: with the flag off there is nothing to tell. */
  readonly isOn: boolean
  readonly progress: TypeProgress | undefined
  count(name: CountName): number | null
}

export type CountName =
  | 'count'
  | 'checksum_total_count'
  | 'checksummed_count'
  | 'checksum_failed_count'
  | 'synced_count'
  | 'failed_count'
  | 'registry_count'
  | 'verification_total_count'
  | 'verified_count'
  | 'verification_failed_count'

export function typeViews(status: SiteStatus | undefined, replicables: readonly Replicable[]): TypeView[] {
  return replicables.map((replicable) => {
    const { plural } = replicable.names
    const count = (name: CountName) => {
      const value = status?.[`${plural}_${name}`]
      return typeof value === 'number' ? value : null
    }
    return {
      replicable,
      title: titleOf(replicable),
      isOn: count('count') !== null || count('registry_count') !== null,
      progress: status?.progress[plural],
      count,
    }
  })
}

/** `Design files` */
export function titleOf({ names }: Pick<Replicable, 'names'>): string {
  const words = names.plural.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
