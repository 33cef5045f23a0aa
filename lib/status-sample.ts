import { z } from 'zod'
import type { Replicable } from './blob/replicable.ts'
import type { GatheredStatus } from './node-status-table.ts'
import type { SampledType } from './status-sample-table.ts'
import { toldCount, toldProgresses, toldQuantity } from './told-status.ts'

const rate = z
  .object({ last_minute: toldQuantity })
  .catch({ last_minute: null })
  .transform(({ last_minute: lastMinute }) => lastMinute)
const progressShape = z
  .object({ blobs_per_second: rate, bytes_per_second: rate, oldest_unsynced_seconds: toldQuantity })
  .catch({ blobs_per_second: null, bytes_per_second: null, oldest_unsynced_seconds: null })

/** What a status says of each type that is on at its site, for charts. */
export function samplesIn(
  status: GatheredStatus,
  role: 'primary' | 'secondary',
  replicables: Iterable<Pick<Replicable, 'name' | 'names'>>,
): SampledType[] {
  const [all, done] =
    role === 'primary'
      ? (['checksum_total_count', 'checksummed_count'] as const)
      : (['registry_count', 'verified_count'] as const)
  const progresses = toldProgresses(status)
  return [...replicables].flatMap(({ name, names: { plural } }) => {
    const total = toldCount.parse(status[`${plural}_${all}`] ?? null)
    // While its flag is off, it has no numbers.
    if (total === null) return []
    const ready = toldCount.parse(status[`${plural}_${done}`] ?? null)
    const progress = progressShape.parse(progresses[plural] ?? null)
    return {
      type: name,
      backlog: ready === null ? null : Math.max(0, total - ready),
      blobsPerSecond: progress.blobs_per_second,
      bytesPerSecond: role === 'primary' ? null : progress.bytes_per_second,
      lagSeconds: role === 'primary' ? null : progress.oldest_unsynced_seconds,
    }
  })
}
