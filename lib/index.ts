export type { Ability } from './ability.ts'
export type { BlobStat, BlobStore, StoreMarker } from './blob/blob-store.ts'
export { type LocalDiskOptions, localDisk } from './blob/local-disk.ts'
export {
  type ChecksumAlgorithm,
  defineReplicable,
  type KeyType,
  type Replicable,
  type ReplicableDeclaration,
} from './blob/replicable.ts'
export type { SelectiveSync } from './blob/selective-sync.ts'
export type { BulkRun, BulkRunState } from './bulk/bulk-run.ts'
export type { BulkAction, BulkFilter, BulkRequest } from './bulk/request.ts'
export type { Clock } from './clock.ts'
export { ConfigurationError, ERROR_CODES, type ErrorCode, GeoError } from './errors.ts'
export type { Replicator } from './event/publish.ts'
export type { Geo } from './facade.ts'
export type { RepairedRecord, RepairReason } from './failover/repair.ts'
export type { FeaturesLike } from './feature.ts'
export { createGeo } from './geo.ts'
export type { QueryingTransaction, TransactionLike } from './host-transaction.ts'
export type { LoggerLike } from './log.ts'
export { migrationFolders } from './migration-folders.ts'
export type { GeoOptions, MetricsOptions } from './options.ts'
export type { ReadOnlyOptions } from './read/read-only.ts'
export type { ServeOptions } from './read/serve-blob.ts'
export { DRIFT_KINDS, type DriftCount, type DriftKind } from './registry/drift.ts'
export { createRegistryTable, dropRegistryTable } from './registry/table.ts'
export type { RepairRequest, RepairResult } from './repairing.ts'
export type { SampleRequest } from './sampling.ts'
export type { GeoListener, GeoSignalName, GeoSignals } from './signals.ts'
export type { NewSite, Site, SiteChange } from './site-table.ts'
export { createEventTriggers, dropEventTriggers, type EventTriggerOptions } from './triggers/event-triggers.ts'
export type { BadRecord, SampleProgress, SampleResult } from './verification/sample.ts'
export {
  addVerificationColumns,
  createVerificationStateTable,
  dropVerificationColumns,
  dropVerificationStateTable,
} from './verification/state-table.ts'
export type { Finding } from './view/finding.ts'
export type { Health } from './view/health.ts'
export type { SiteStatus, TypeProgress } from './view/status/fields.ts'
