import { VERIFICATION } from './verification-state.ts'

/** Of a batch, one part in ten is kept for retries that are due: however much is new, none of them waits for ever. */
const RETRY_SHARE = 0.1

/** A range of one index, and the order in which its rows are taken. */
export interface DueRange {
  readonly condition: string
  readonly order: string
}

const RETRY = VERIFICATION.step('failed', 'started').where

/**
 * What waits to be hashed, on either site. Retries without a date are asked for by themselves, and the moment stands still
 * during a statement: only so is each a range of an index, and a claim costs the same however many retries are not due.
 */
export const HASH_DUE: Readonly<Record<'pending' | 'failed', readonly DueRange[]>> = Object.freeze({
  pending: [{ condition: VERIFICATION.step('pending', 'started').where, order: 'verified_at nulls first' }],
  failed: [
    { condition: `${RETRY} and verification_retry_at is null`, order: 'verification_retry_at nulls first' },
    {
      condition: `${RETRY} and verification_retry_at <= statement_timestamp()`,
      order: 'verification_retry_at nulls first',
    },
  ],
})

/** The conditions of all of them: whether anything waits. */
export const HASH_WAITING: readonly string[] = [...HASH_DUE.pending, ...HASH_DUE.failed].map(
  ({ condition }) => condition,
)

/** A batch of pending records and due retries. `claim` claims up to so many of a range, in the state that it names. */
export async function claimInShares<Claimed>(
  limit: number,
  claim: (from: 'pending' | 'failed', range: DueRange, limit: number) => Promise<Claimed[]>,
): Promise<Claimed[]> {
  const claimUpTo = async (from: 'pending' | 'failed', upTo: number): Promise<Claimed[]> => {
    const claimed: Claimed[] = []
    for (const range of HASH_DUE[from]) {
      if (claimed.length < upTo) claimed.push(...(await claim(from, range, upTo - claimed.length)))
    }
    return claimed
  }
  const share = Math.floor(limit * RETRY_SHARE)
  const retries = await claimUpTo('failed', share)
  const pending = await claimUpTo('pending', limit - retries.length)
  const room = limit - retries.length - pending.length
  // Fewer retries than their share: there are no more of them.
  const more = retries.length === share ? await claimUpTo('failed', room) : []
  return [...pending, ...retries, ...more]
}
