import type { Router } from 'express'
import type { Ability } from '../../ability.ts'
import type { BulkRun } from '../../bulk/bulk-run.ts'
import type { BulkAction, BulkRequest } from '../../bulk/request.ts'
import type { RegistryEntry, RegistryWindow } from '../../registry/registry-page.ts'
import type { Site } from '../../site-table.ts'
import type { Asker as RequestAsker } from '../asker.ts'
import type { Explanation } from '../explain.ts'
import type { FailureGroup } from '../failures.ts'
import type { RegistryFilters } from '../registries/finder.ts'

/**
 * What one site knows of its copies, and what is done to them. The same for this site and, over HTTP, for a secondary.
 * Changes are kept by the site that makes them: who asked for them, when and from where. All reject with GeoError: `FORBIDDEN` for who has not the ability, `INVALID_REQUEST`, `UNKNOWN_REPLICABLE`, and of another site
 * `SITE_UNREACHABLE`, `TLS_UNTRUSTED`, `INVALID_RESPONSE` or the code that it answers. Reading needs `read_geo`, changing `admin_geo`.
 */
export interface SiteDetails {
  /**
   * A page of registry rows in their order, and how many there are; none while the flag of the type is off.
   * @throws GeoError `NOT_SECONDARY`
   */
  registries(ask: RegistriesAsk): Promise<FoundPage>
  /** @throws GeoError `REGISTRY_UNKNOWN`, `INVALID_RECORD_ID`; for a registry id also `NOT_SECONDARY` */
  explain(type: string, which: ExplainWhich): Promise<Explanation>
  failures(type: string): Promise<readonly FailureGroup[]>
  /**
   * Registry ids that another transaction has locked, to which nothing was done. At most 1000 at once.
   * @throws GeoError `NOT_SECONDARY`
   */
  changeNow(change: ChangeNow): Promise<readonly string[]>
  /** The run is asked for by whom the host names, where it names somebody. @throws GeoError as `geo.bulk.start` */
  startRun(request: BulkRequest): Promise<BulkRun>
  /** The newest first: up to 100, fewer where their filters name more than 50,000 ids in all. */
  runs(): Promise<readonly BulkRun[]>
  /** @throws GeoError `BULK_RUN_UNKNOWN` */
  cancelRun(id: string): Promise<BulkRun>
  /**
   * Rows, by their ids, whose copies are not proven: what a promotion of this site would lose as far as it knows.
   * @throws GeoError `NOT_SECONDARY`
   */
  losses(ask: LossesAsk): Promise<FoundPage>
}

export interface RegistriesAsk extends LossesAsk {
  readonly filters: RegistryFilters
}

export interface LossesAsk {
  readonly type: string
  /** At most 1000 rows. */
  readonly window: RegistryWindow
  /** Counts to one beyond it, at most 1,000,000; null counts nothing. */
  readonly countUpTo: number | null
}

export interface FoundPage {
  readonly entries: readonly RegistryEntry[]
  /** Null where it was not asked. */
  readonly count: number | null
}

export type ExplainWhich = { readonly registryId: string } | { readonly recordId: string }

export interface ChangeNow {
  readonly action: BulkAction
  readonly type: string
  readonly registryIds: readonly string[]
}

/** For whom: what the host says of the request. */
export interface Asker extends RequestAsker {
  readonly abilities: readonly Ability[]
}

export interface DetailsDirectory {
  /**
   * Of this site itself, and on the primary of any secondary. The primary has no registries of its own.
   * @throws GeoError `NOT_PRIMARY` for another site on a secondary, `SITE_UNKNOWN` where this one is not in geo_nodes
   */
  of(site: Site, asker: Asker): SiteDetails
  /** The door at which the primary asks. */
  readonly router: Router
  close(): Promise<void>
}
