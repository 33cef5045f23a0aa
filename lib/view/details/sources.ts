import type { Knex } from 'knex'
import type { Audit } from '../../audit.ts'
import type { Replicable } from '../../blob/replicable.ts'
import type { BulkRuns } from '../../bulk/bulk-runs.ts'
import type { FeatureGate } from '../../feature.ts'
import type { LoggerLike } from '../../log.ts'
import type { DoorContext } from '../../transfer/token.ts'

/** What is known here, and how other sites are reached. */
export interface DetailsSources extends DoorContext {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly settings: { readonly idleTimeoutMs: number; readonly ca: readonly string[] }
  readonly byName: ReadonlyMap<string, Replicable>
  readonly gate: FeatureGate
  readonly bulk: BulkRuns
  readonly audit: Pick<Audit, 'during'>
  readonly logger: LoggerLike
}
