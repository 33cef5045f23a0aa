import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { Geo } from '../facade.ts'
import type { GeoOptions } from '../options.ts'
import type { SyncState } from '../registry/sync-state.ts'
import type { VerificationState } from '../verification/verification-state.ts'
import type { Factories, InsertRow } from './factories.ts'
import type { KeptLog } from './kept-log.ts'
import type { TestDatabases } from './scratch-databases.ts'
import type { ShiftedClock } from './shifted-clock.ts'
import type { StoreFaults } from './store-faults.ts'
import type { WireFaults } from './wire.ts'

export interface TwoSitesOptions {
  /** The host's declaration. Its own store is never touched: each site has a folder of its own instead. */
  readonly replicable: Replicable<never>
  /** Types that the host declares beside it; their flags are on. Default none. */
  readonly others?: readonly Replicable<never>[]
  /** Databases with all migrations of the host run and no sites, such as `scratchDatabases` makes. They stay open. */
  readonly databases: Pick<TestDatabases, 'main' | 'replica' | 'tracking'>
  /** How the host inserts a row of the type. */
  readonly insertRow: InsertRow
  /** How people look at the secondary. Default: nobody may, and there is no GraphQL API. */
  readonly secondary?: Pick<GeoOptions, 'authorize' | 'graphql'>
}

/** One site, in this process. Nothing runs by itself. */
export interface TestSite {
  readonly geo: Geo
  /** Where the routes of `geo.router` are served, without a slash at the end. */
  readonly url: string
  /** The type, its files in the folder of this site. */
  readonly type: Replicable
  /** The type and the others, by their names. */
  readonly types: Readonly<Record<string, Replicable>>
  /** What this site has logged since the last `reset`, at every level. */
  readonly log: KeptLog
  /** What can happen to the files of the type on this site. */
  readonly faults: StoreFaults
}

/** How a copy on the secondary is. */
export interface CopyState {
  readonly sync: SyncState
  readonly verification: VerificationState
  /** The code of the last failure, or null. */
  readonly errorCode: string | null
}

/** A primary and a secondary over real databases, folders and HTTP, whose work is done when a spec asks for it. */
export interface TwoSites {
  readonly main: Knex
  readonly tracking: Knex
  readonly primary: TestSite
  readonly secondary: TestSite
  /** Makes rows of the type. */
  readonly make: Factories
  /** The clock of both: the system's, until a spec lets more time go by. What the databases compare goes by their own. */
  readonly clock: ShiftedClock
  /** What can happen between the sites. */
  readonly wire: WireFaults
  /** Switches the flag of the type, on both sites. */
  switchFlag(on: boolean): void
  /**
   * Both sites work until neither finds anything to do. What waits for a retry or for its interval stays as it is. A job that fails
   * with a code is a line of the site's log, as where it runs by itself; anything else that a job throws is thrown.
   */
  settle(): Promise<void>
  /** Resolves when the replica shows what the primary has committed. */
  caughtUp(): Promise<void>
  /** How the copy of a record of the type is; null where the secondary does not know the record. */
  copyOf(id: string): Promise<CopyState | null>
  /** The events of the type, oldest first. */
  events(): Promise<{ event_name: string; payload: Record<string, unknown> }[]>
  /** No rows of any type, no files, events, leases, faults and log lines, and the flag on. */
  reset(): Promise<void>
  /** Ends both sites and removes their folders. The databases stay. */
  close(): Promise<void>
}
