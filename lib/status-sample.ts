import { z } from 'zod'
import type { Replicable } from './blob/replicable.ts'
import type { GatheredStatus } from './node-status-table.ts'
import type { SampledType } from './status-sample-table.ts'

// Another site told it, in a version of its own: what is not as expected is not known.
const count = z.int().min(0).nullable().catch(null)
const quantity = z.number().min(0).nullable().catch(null)
const rate = z
  .object({ last_minute: quantity })
  .catch({ last_minute: null })
  .transform(({ last_minute: lastMinute }) => lastMinute)
const progressShape = z
  .object({ blobs_per_second: rate, bytes_per_second: rate, oldest_unsynced_seconds: quantity })
  .catch({ blobs_per_second: null, bytes_per_second: null, oldest_unsynced_seconds: null })
const progressesShape = z.record(z.string(), z.unknown()).catch({})

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
  const progresses = progressesShape.parse(status['progress'] ?? {})
  return [...replicables].flatMap(({ name, names: { plural } }) => {
    const total = count.parse(status[`${plural}_${all}`] ?? null)
    // While its flag is off, it has no numbers.
    if (total === null) return []
    const ready = count.parse(status[`${plural}_${done}`] ?? null)
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
