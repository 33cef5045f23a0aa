import { z } from 'zod'

/** The largest transaction id (xid8), and the largest id of an event. */
export const MOST_XACT_ID = 2n ** 64n - 1n
export const MOST_EVENT_ID = 2n ** 63n - 1n

/** A number as text as PostgreSQL has it; one beyond would be its error, and not the sender's. */
export function upTo(most: bigint) {
  return z.string().refine((text) => /^\d{1,20}$/.test(text) && BigInt(text) <= most, `must be a number up to ${most}`)
}
