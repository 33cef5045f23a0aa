import type { Replicable } from '../../blob/replicable.ts'
import type { SiteStatus } from '../status/fields.ts'

/** How far a site is with one type. Null is what the site has not told, or what its role has none of. */
export interface TypeProgress {
  readonly name: string
  readonly count: number | null
  readonly checksummedCount: number | null
  readonly checksumFailedCount: number | null
  readonly registryCount: number | null
  readonly syncedCount: number | null
  readonly failedCount: number | null
  readonly verificationTotalCount: number | null
  readonly verifiedCount: number | null
  readonly verificationFailedCount: number | null
  readonly inFlightCount: number | null
  readonly pendingBytes: number | null
  readonly blobsPerSecond: number | null
  readonly bytesPerSecond: number | null
  readonly oldestUnsyncedSeconds: number | null
  readonly remainingSeconds: number | null
}

export interface SiteProgress {
  readonly health: string | null
  readonly healthy: boolean
  readonly updatedAt: string | null
  readonly types: readonly TypeProgress[]
}

/** The part of a status that moves. */
export function progressOf(
  status: SiteStatus,
  replicables: readonly Replicable[],
  isShown: (replicable: Replicable) => boolean,
): SiteProgress {
  return {
    health: status.health,
    healthy: status.healthy,
    updatedAt: status.updated_at,
    types: replicables.filter(isShown).map((replicable) => typeProgress(status, replicable)),
  }
}

function typeProgress(status: SiteStatus, { names: { name, plural } }: Replicable): TypeProgress {
  const counts = status as unknown as Record<string, number | null>
  const count = (suffix: string) => withinInt(counts[`${plural}_${suffix}`])
  const progress = status.progress[plural]
  return {
    name,
    count: count('count'),
    checksummedCount: count('checksummed_count'),
    checksumFailedCount: count('checksum_failed_count'),
    registryCount: count('registry_count'),
    syncedCount: count('synced_count'),
    failedCount: count('failed_count'),
    verificationTotalCount: count('verification_total_count'),
    verifiedCount: count('verified_count'),
    verificationFailedCount: count('verification_failed_count'),
    inFlightCount: withinInt(progress?.in_flight_count),
    pendingBytes: progress?.pending_bytes ?? null,
    blobsPerSecond: progress?.blobs_per_second.last_minute ?? null,
    bytesPerSecond: progress?.bytes_per_second.last_minute ?? null,
    oldestUnsyncedSeconds: progress?.oldest_unsynced_seconds ?? null,
    remainingSeconds: progress?.remaining_seconds ?? null,
  }
}

const HIGHEST_INT = 2 ** 31 - 1

/** What GraphQL has no number for is not told, rather than failing the operation. */
function withinInt(count: number | null | undefined): number | null {
  return count == null || count > HIGHEST_INT ? null : count
}
