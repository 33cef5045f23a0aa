import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { BulkRuns } from '../../lib/bulk/bulk-runs.ts'
import { systemClock } from '../../lib/clock.ts'
import { SiteDirectory } from '../../lib/site.ts'
import type { SpecDatabases } from './databases.ts'
import { ENCRYPTION_KEY, untyped } from './fixture-rows.ts'

/** The bulk runs of one process of a site, worked page by page. */
export interface BulkSite {
  readonly bulk: BulkRuns
  /** The actions of pages that gave rows new work, in order. */
  readonly woken: string[]
  /** A page of each active run. True: there is more. */
  page(): Promise<boolean>
  /** Pages until there is nothing more to do at once. */
  work(): Promise<void>
}

/** The primary of `addSites` is rome. */
export function openBulkSite(
  databases: SpecDatabases,
  siteName: string,
  replicables?: readonly Replicable[],
): BulkSite {
  const { widgets, gadgets } = declareReplicables('unused')
  const declared = replicables ?? [untyped(widgets), untyped(gadgets)]
  const role = siteName === 'rome' ? 'primary' : 'secondary'
  const db = role === 'primary' ? databases.main : databases.tracking
  const woken: string[] = []
  const bulk = new BulkRuns({
    replicables: new Map(declared.map((replicable) => [replicable.name, replicable])),
    sites: new SiteDirectory(siteName, databases.main, [ENCRYPTION_KEY], systemClock),
    writable: () => db,
    started: () => undefined,
    changed: (action) => void woken.push(action),
  })
  const page = () => bulk.step(db, role)
  return {
    bulk,
    woken,
    page,
    async work() {
      while (await page());
    },
  }
}
