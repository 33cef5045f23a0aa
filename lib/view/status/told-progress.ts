import { z } from 'zod'
import type { GatheredStatus } from '../../node-status-table.ts'
import { toldCount, toldProgresses, toldQuantity } from '../../told-status.ts'
import type { TypeProgress } from './fields.ts'
import { NO_RATE, NOT_GATHERED } from './type-status.ts'

const MOST_BUCKETS = 100

const rate = toldQuantity.transform((perSecond) => perSecond ?? 0)
const rates = z.object({ last_minute: rate, last_5_minutes: rate, last_60_minutes: rate }).catch(NO_RATE)
const bound = z.number().nullable()
const lag = z
  .object({
    buckets: z.array(z.object({ le: bound, count: z.int().min(0) })).max(MOST_BUCKETS),
    p50: bound,
    p99: bound,
  })
  .nullable()
  .catch(null)

const progressShape: z.ZodType<TypeProgress> = z
  .object({
    corrupt_count: toldCount,
    synced_bytes: toldCount,
    pending_bytes: toldCount,
    in_flight_count: toldCount,
    oldest_unsynced_seconds: toldQuantity,
    lag_seconds: lag,
    blobs_per_second: rates,
    bytes_per_second: rates,
    remaining_seconds: toldQuantity,
  })
  .catch(NOT_GATHERED)

/** What a status says of the type with that plural name. */
export function toldProgress(status: GatheredStatus, plural: string): TypeProgress {
  const progresses = toldProgresses(status)
  return progressShape.parse(Object.hasOwn(progresses, plural) ? progresses[plural] : null)
}
