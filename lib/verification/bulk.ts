import type { Knex } from 'knex'
import { CORRUPT_PREFIX, stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import type { Condition, KeyWalk } from '../key-walk.ts'
import { VERIFICATION_STATE as V, type VerificationState } from './verification-state.ts'

/** Which records of the primary: all that are given must hold. */
export interface StateFilter {
  readonly ids?: readonly string[] | undefined
  readonly verificationState?: VerificationState | undefined
}

/**
 * The primary's files are hashed again, the failed ones without waiting for their retry. The recorded checksum stays, and
 * what was found corrupt stays known as such until its bytes are right again: secondaries judge by the one, and the primary
 * refuses to serve by the other.
 */
export function reverifyPrimaryWalk(replicable: Replicable, { ids, verificationState }: StateFilter): KeyWalk {
  const { table, key } = stateTableOf(replicable)
  const matching: Condition =
    verificationState === undefined
      ? { sql: '', bindings: [] }
      : { sql: ' and verification_state = ?', bindings: [V[verificationState]] }
  return Object.freeze({
    table,
    key,
    keyType: replicable.keyType,
    rows(db: Knex) {
      // A state row is there only for an available record; in columns on the host's table, availability has to be asked.
      const available = replicable.verificationState === 'columns' ? wantedRows(db, replicable, null) : db(table)
      return ids ? available.whereRaw(`?? = any(?::${replicable.keyType}[])`, [key, [...ids]]) : available
    },
    wanted: { sql: `verification_state <> ${V.pending}${matching.sql}`, bindings: matching.bindings },
    changes: `verification_state = ${V.pending}, verification_retry_count = 0, verification_retry_at = null,
      verification_failure = case when verification_failure like '${CORRUPT_PREFIX}%' then verification_failure end`,
  })
}
