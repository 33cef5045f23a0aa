import { z } from 'zod'
import type { GatheredStatus } from './node-status-table.ts'

/**
 * What a site has told of itself, read value by value: another site told it, in a version of its own, and none of its values has to be
 * what it should. What is not as expected counts as not told.
 */

/** How many there are. */
export const toldCount = z.int().min(0).nullable().catch(null)

/** How much or how long, at least nothing. */
export const toldQuantity = z.number().min(0).max(Number.MAX_SAFE_INTEGER).nullable().catch(null)

/** Whole seconds between two clocks, either way. */
export const toldLagSeconds = z.int().nullable().catch(null)

/** Seconds between two clocks, either way. */
export const toldSeconds = z.number().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER).nullable().catch(null)

const LAST_SECOND_OF_9999 = 253_402_300_799

/** Unix seconds, within the years that are written with four digits. */
export const toldMoment = z.int().min(0).max(LAST_SECOND_OF_9999).nullable().catch(null)

const progresses = z.record(z.string(), z.unknown()).catch({})

/** What is told of the types beyond their counts, by their plural names. */
export function toldProgresses(status: GatheredStatus): Readonly<Record<string, unknown>> {
  return progresses.parse(status['progress'] ?? {})
}
