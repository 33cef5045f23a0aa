import type { Knex } from 'knex'
import type { Replicable } from '../../blob/replicable.ts'
import type { StoreIdentities } from '../../blob/store-identity.ts'
import type { Clock } from '../../clock.ts'
import type { FeaturesLike } from '../../feature.ts'
import type { SiteDirectory } from '../../site.ts'
import type { TransferThreads } from '../../transfer/threads.ts'

/** What is asked of an assembly. */
export interface CheckSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly sites: SiteDirectory
  readonly stores: StoreIdentities
  readonly settings: {
    readonly replicables: readonly Replicable[]
    readonly features: FeaturesLike | null
    readonly trackingDb: Knex | null
    readonly encryptionKeys: readonly Buffer[]
    readonly clock: Clock
  }
  readonly repairContext: { readonly threads: Pick<TransferThreads, 'post'> }
}
