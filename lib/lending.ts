import type { Router } from 'express'
import type { Knex } from 'knex'
import type { StoreIdentities } from './blob/store-identity.ts'
import { holdsCopy } from './registry/verified-copy.ts'
import { copyRouter, type LendContext } from './transfer/serve-copy.ts'
import type { ChecksumPool } from './verification/checksum.ts'

export interface LendingParts
  extends Pick<
    LendContext,
    'main' | 'sites' | 'allowedIps' | 'replicables' | 'clock' | 'logger' | 'idleTimeoutMs' | 'retrieveMargin'
  > {
  readonly tracking: Knex
  readonly stores: StoreIdentities
  readonly checksums: ChecksumPool
}

/** The route by which a secondary lends its copies, with what it asks of the registry, the store and the checksum threads. */
export function lendingOf({ tracking, stores, checksums, ...parts }: LendingParts): Router {
  return copyRouter({
    ...parts,
    storeProblem: (replicable) => stores.problem(replicable, tracking, parts.sites.siteName),
    holdsCopy: (replicable, id, key) => holdsCopy(tracking, replicable, id, key),
    hashStored: (replicable, key, algorithm) => checksums.digestOf(replicable.store.root, key, algorithm),
  })
}
