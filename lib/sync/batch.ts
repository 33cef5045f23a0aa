import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { CurrentSelection } from '../blob/selective-sync.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import type { WritableStores } from '../blob/writable-stores.ts'
import type { Clock } from '../clock.ts'
import type { Lease, Leases } from '../lease.ts'
import type { LoggerLike } from '../log.ts'
import type { ClaimedRow } from '../registry/claims.ts'
import type { Signals } from '../signals.ts'
import type { Fetcher } from '../transfer/fetch.ts'
import type { TransferThreads } from '../transfer/threads.ts'

/** What it takes to bring blobs over. */
export interface DownloadContext {
  readonly replica: Knex
  readonly tracking: Knex
  /** All declared types: some keep their files in the same folder. */
  readonly replicables: readonly Replicable[]
  readonly leases: Leases
  readonly fetcher: Fetcher
  readonly threads: TransferThreads
  readonly stores: StoreIdentities
  readonly writableStores: WritableStores
  readonly siteName: string
  readonly clock: Clock
  readonly selection: CurrentSelection
  readonly logger: LoggerLike
  readonly signals: Signals
  /** Copies have come that wait to be verified. */
  verificationAsked(): void
}

/** Rows of one type under one lease. */
export interface SyncBatch {
  readonly replicable: Replicable
  readonly lease: Lease
  readonly rows: readonly ClaimedRow[]
  /** When work on it began, on this process's clock. */
  readonly startedAtMs: number
}
