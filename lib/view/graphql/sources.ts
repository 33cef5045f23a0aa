import type { Request, Router } from 'express'
import type { Knex } from 'knex'
import type { Ability } from '../../ability.ts'
import type { Audit } from '../../audit.ts'
import type { Replicable } from '../../blob/replicable.ts'
import type { BulkRuns } from '../../bulk/bulk-runs.ts'
import type { FeatureGate } from '../../feature.ts'
import type { LoggerLike } from '../../log.ts'
import type { DoorContext } from '../../transfer/token.ts'
import type { AskerSettings } from '../asker.ts'

/** What the GraphQL API is made from. Nothing here knows GraphQL, whose packages a host may do without. */
export interface GraphqlSources extends DoorContext {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly settings: AskerSettings & {
    readonly replicables: readonly Replicable[]
    readonly idleTimeoutMs: number
    readonly ca: readonly string[]
  }
  readonly byName: ReadonlyMap<string, Replicable>
  readonly gate: FeatureGate
  readonly bulk: BulkRuns
  readonly audit: Pick<Audit, 'during'>
  readonly logger: LoggerLike
  /** Never rejects. */
  isAllowed(request: Request, ability: Ability): Promise<boolean>
}

/** What `geoGraphql()` of `express-geo-replication/graphql` returns, as far as createGeo is concerned. */
export interface GraphqlPart {
  /** Called once, by createGeo, with GraphqlSources: what is inside is no host's to rely on. */
  open(sources: never): OpenGraphql
}

export interface OpenGraphql {
  readonly router: Router
  /** The fields of a site that the served schema shows now. */
  siteFields(): readonly string[]
  close(): Promise<void>
}
