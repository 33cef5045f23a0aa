import type { Router } from 'express'
import type { Audit } from './audit.ts'
import type { Replicable } from './blob/replicable.ts'
import type { StoreIdentities } from './blob/store-identity.ts'
import type { BulkRuns } from './bulk/bulk-runs.ts'
import type { Databases } from './databases.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { RepairContext } from './failover/repair.ts'
import type { FeatureGate } from './feature.ts'
import type { TransactionLike } from './host-transaction.ts'
import type { Job, JobLoops } from './job-loop.ts'
import type { Leases } from './lease.ts'
import type { GeoSettings } from './options.ts'
import type { Reading } from './read/reading.ts'
import type { Signals } from './signals.ts'
import type { SiteDirectory } from './site.ts'
import type { RemovalWork } from './sync/remove.ts'
import type { SyncWork } from './sync/schedule.ts'
import type { VerificationWork } from './verification/verify.ts'
import type { Viewing } from './viewing.ts'

/** Where the dispatchers get their work. */
export interface WorkSources {
  readonly hash: VerificationWork
  readonly sync: SyncWork
  readonly remove: RemovalWork
  readonly verify: VerificationWork
}

export type Dispatchers = Readonly<Record<keyof WorkSources, Dispatcher<unknown>>>

/** The wired parts of the SDK in one process. Hosts see the facade; specs and the testing kit run its jobs one by one. */
export interface Assembly {
  readonly settings: GeoSettings
  readonly byName: ReadonlyMap<string, Replicable>
  readonly databases: Databases
  readonly sites: SiteDirectory
  readonly gate: FeatureGate
  readonly leases: Leases
  readonly stores: StoreIdentities
  readonly loops: JobLoops
  readonly sources: WorkSources
  readonly dispatchers: Dispatchers
  readonly bulk: BulkRuns
  readonly audit: Audit
  /** All periodic work, as `start` runs it in loops. */
  readonly jobs: readonly Job[]
  readonly repairContext: RepairContext
  readonly retrieve: Router
  readonly status: Router
  readonly copies: Router
  readonly epochs: Router
  readonly viewing: Viewing
  readonly router: Router
  readonly reading: Reading
  readonly signals: Signals
  /** Once the caller's transaction has ended, new files are hashed at once. */
  hashAfter(trx: TransactionLike): void
  /** As in the facade. */
  start(): Promise<void>
  drain(options: { timeoutMs: number }): Promise<boolean>
  stop(): Promise<void>
  isEnding(): boolean
}
