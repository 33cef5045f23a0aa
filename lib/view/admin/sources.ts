import type { Request } from 'express'
import type { Knex } from 'knex'
import type { Ability } from '../../ability.ts'
import type { Audit } from '../../audit.ts'
import type { Replicable } from '../../blob/replicable.ts'
import type { Clock } from '../../clock.ts'
import type { FeatureGate } from '../../feature.ts'
import type { LoggerLike } from '../../log.ts'
import type { SiteDirectory } from '../../site.ts'
import type { DetailsDirectory } from '../details/details.ts'

/** What the admin pages are made from. */
export interface AdminSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly sites: SiteDirectory
  readonly byName: ReadonlyMap<string, Replicable>
  readonly gate: FeatureGate
  readonly audit: Audit
  readonly details: DetailsDirectory
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly settings: {
    readonly replicables: readonly Replicable[]
    readonly encryptionKey: Buffer
    readonly idleTimeoutMs: number
    operator(request: Request): string | null | Promise<string | null>
  }
  /** Never rejects. */
  isAllowed(request: Request, ability: Ability): Promise<boolean>
}
