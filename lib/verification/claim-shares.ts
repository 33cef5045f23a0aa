/** Of a batch, one part in ten is kept for retries that are due: however much is new, none of them waits for ever. */
const RETRY_SHARE = 0.1

/** A batch of pending records and due retries. Each of the two claims up to so many, and says which. */
export async function claimInShares<Claimed>(
  limit: number,
  claimPending: (limit: number) => Promise<Claimed[]>,
  claimRetries: (limit: number) => Promise<Claimed[]>,
): Promise<Claimed[]> {
  const share = Math.floor(limit * RETRY_SHARE)
  const retries = share > 0 ? await claimRetries(share) : []
  const pending = await claimPending(limit - retries.length)
  const room = limit - retries.length - pending.length
  // Fewer retries than their share: there are no more of them.
  const more = room > 0 && retries.length === share ? await claimRetries(room) : []
  return [...pending, ...retries, ...more]
}
