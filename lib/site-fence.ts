import type { Knex } from 'knex'
import { GeoError } from './errors.ts'
import type { SiteChange } from './site-fields.ts'
import { listSites, type Site } from './site-table.ts'

/** The later epoch that fences a site, as the table has it; null where none does. */
export function fenceOf({ primary, epoch, fencedByEpoch }: Site): number | null {
  return primary && fencedByEpoch !== null && fencedByEpoch > epoch ? fencedByEpoch : null
}

/**
 * What is changed in the table of a fenced primary no other site ever sees.
 * @throws GeoError `STALE_EPOCH`
 */
export async function requireNoFence(db: Knex): Promise<void> {
  for (const site of await listSites(db)) {
    const fence = fenceOf(site)
    if (fence === null) continue
    const message = `"${site.name}" is no primary any more, and its table of sites is left: ask the one of epoch ${fence}`
    throw new GeoError('STALE_EPOCH', message)
  }
}

/** A fenced primary still reads these: where it reaches the one that took its place, for `geo demote`. */
const ADDRESSES: ReadonlySet<string> = new Set<keyof SiteChange>(['url', 'internalUrl'])

/**
 * The same for a change of these fields alone.
 * @throws GeoError `STALE_EPOCH`
 */
export async function requireNoFenceFor(db: Knex, change: SiteChange): Promise<void> {
  if (!Object.keys(change).every((field) => ADDRESSES.has(field))) await requireNoFence(db)
}
