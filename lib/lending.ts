import type { Router } from 'express'
import type { Knex } from 'knex'
import type { StoreIdentities } from './blob/store-identity.ts'
import { holdsCopy } from './registry/verified-copy.ts'
import { HashesUnderWay } from './transfer/hashes-under-way.ts'
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

/** Of the longest silence that whoever asks puts up with, and whatever is between; both have the same default, 60 s. */
const PATIENT_FOR = 1 / 3

/** The route by which a secondary lends its copies, with what it asks of the registry, the store and the checksum threads. */
export function lendingOf({ tracking, stores, checksums, ...parts }: LendingParts): Router {
  const hashes = new HashesUnderWay(parts.clock, parts.idleTimeoutMs * PATIENT_FOR)
  return copyRouter({
    ...parts,
    storeProblem: (replicable) => stores.problem(replicable, tracking, parts.sites.siteName),
    holdsCopy: (replicable, id, key) => holdsCopy(tracking, replicable, id, key),
    hashStored: ({ store }, key, algorithm) =>
      hashes.digestOf(`${algorithm} ${store.root}/${key}`, () => checksums.digestOf(store.root, key, algorithm)),
  })
}
