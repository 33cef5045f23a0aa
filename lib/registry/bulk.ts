import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { Condition, KeyWalk } from '../key-walk.ts'
import { VERIFICATION_STATE, type VerificationState } from '../verification/verification-state.ts'
import { SYNC_STATE, type SyncState } from './sync-state.ts'

/** What is done to many registry rows at once, a page at a time. A row whose removal is asked for is left to it. */

/** Which rows: all that are given must hold. */
export interface RegistryFilter {
  /** Keys of records. */
  readonly ids?: readonly string[] | undefined
  readonly syncState?: SyncState | undefined
  readonly verificationState?: VerificationState | undefined
  readonly errorCode?: string | undefined
}

const VERIFICATION_FIELDS_RESET = `verification_failure = null, verification_retry_count = 0, verification_retry_at = null,
  checksum_mismatch = false, verification_checksum_mismatched = null`

/**
 * Copies are fetched again: the event `pending` of GB.A.2 with all that earlier attempts left behind cleared (GB quirk 1).
 * The lease stays: who works the row at this moment ends in vain. Marked as backfill, so that new rows come first.
 */
export function resyncWalk(replicable: Replicable, filter: RegistryFilter): KeyWalk {
  return walk(
    replicable,
    filter,
    `state <> ${SYNC_STATE.pending}`,
    `state = ${SYNC_STATE.pending}, retry_at = null, retry_count = 0, worker_losses = 0, last_sync_failure = null, error_code = null,
     verification_state = ${VERIFICATION_STATE.disabled}, ${VERIFICATION_FIELDS_RESET}, backfill = true`,
  )
}

/** Copies are hashed again, the failed ones without waiting for their retry. Only what is synced can be hashed. */
export function reverifyWalk(replicable: Replicable, filter: RegistryFilter): KeyWalk {
  return walk(
    replicable,
    filter,
    `state = ${SYNC_STATE.synced} and verification_state <> ${VERIFICATION_STATE.pending}`,
    `verification_state = ${VERIFICATION_STATE.pending}, ${VERIFICATION_FIELDS_RESET}`,
  )
}

function walk({ names, keyType }: Replicable, filter: RegistryFilter, condition: string, changes: string): KeyWalk {
  const { ids } = filter
  const matching = matches(filter)
  return Object.freeze({
    table: names.registryTable,
    key: 'id',
    keyType: 'bigint' as const,
    rows(db: Knex) {
      const all = db(names.registryTable)
      return ids ? all.whereRaw(`?? = any(?::${keyType}[])`, [names.foreignKey, [...ids]]) : all
    },
    wanted: { sql: `${condition} and removal_requested_at is null ${matching.sql}`, bindings: matching.bindings },
    changes,
  })
}

function matches({ syncState, verificationState, errorCode }: RegistryFilter): Condition {
  const conditions: string[] = []
  const bindings: Knex.RawBinding[] = []
  const add = (sql: string, value: Knex.RawBinding) => {
    conditions.push(` and ${sql}`)
    bindings.push(value)
  }
  if (syncState !== undefined) add('state = ?', SYNC_STATE[syncState])
  if (verificationState !== undefined) add('verification_state = ?', VERIFICATION_STATE[verificationState])
  if (errorCode !== undefined) add('error_code = ?', errorCode)
  return { sql: conditions.join(''), bindings }
}
