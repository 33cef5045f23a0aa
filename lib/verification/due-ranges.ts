import type { DueRange, LookedAt } from '../waiting-types.ts'
import { VERIFICATION } from './verification-state.ts'

/** Of a batch, one part in ten is kept for retries that are due: however much is new, none of them waits for ever. */
const RETRY_SHARE = 0.1

const RETRIES = 'verification_retry_at nulls first'
const RETRY_DUE = 'verification_retry_at <= statement_timestamp()'
const RETRY = VERIFICATION.step('failed', 'started').where

/**
 * What waits to be hashed, on either site. Retries without a date are asked for by themselves, and the moment stands still
 * during a statement: only so is each a range of an index, and a claim costs the same however many retries are not due.
 */
export const HASH_DUE: Readonly<Record<'pending' | 'failed', readonly DueRange[]>> = Object.freeze({
  pending: [{ condition: VERIFICATION.step('pending', 'started').where, order: 'verified_at nulls first' }],
  failed: [
    { condition: `${RETRY} and verification_retry_at is null`, order: RETRIES },
    { condition: `${RETRY} and ${RETRY_DUE}`, order: RETRIES },
  ],
})

/** Whether a retry is due. */
export const RETRY_WAITING: LookedAt = Object.freeze({
  condition: RETRY,
  order: RETRIES,
  due: `verification_retry_at is null or ${RETRY_DUE}`,
})

/** Whether any of it waits. */
export const HASH_WAITING: readonly LookedAt[] = [...HASH_DUE.pending, RETRY_WAITING]

/**
 * A batch of pending records and due retries. `claim` claims up to so many of a range, in the state that it names; while no retry
 * is due, which a look at the first of them says, it is not called for them.
 */
export async function claimInShares<Claimed>(
  limit: number,
  retryWaits: () => Promise<boolean>,
  claim: (from: 'pending' | 'failed', range: DueRange, limit: number) => Promise<Claimed[]>,
): Promise<Claimed[]> {
  const claimUpTo = async (from: 'pending' | 'failed', upTo: number): Promise<Claimed[]> => {
    const claimed: Claimed[] = []
    for (const range of HASH_DUE[from]) {
      if (claimed.length < upTo) claimed.push(...(await claim(from, range, upTo - claimed.length)))
    }
    return claimed
  }
  const hasRetries = await retryWaits()
  const share = hasRetries ? Math.floor(limit * RETRY_SHARE) : 0
  const retries = await claimUpTo('failed', share)
  const pending = await claimUpTo('pending', limit - retries.length)
  const room = limit - retries.length - pending.length
  // Fewer retries than their share: there are no more of them.
  const more = hasRetries && retries.length === share ? await claimUpTo('failed', room) : []
  return [...pending, ...retries, ...more]
}
