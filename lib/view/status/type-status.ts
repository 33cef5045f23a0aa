import type { Knex } from 'knex'
import type { Replicable } from '../../blob/replicable.ts'
import { countRegistry, type RegistryCounts } from '../../registry/counts.ts'
import { LAG_BOUNDS_S, type Rates, type ThroughputKind } from '../../throughput-table.ts'
import { countPrimary } from '../../verification/counts.ts'
import type { TypeProgress } from './fields.ts'

/** Numbers of one type, by the names of the fields. */
export interface TypeStatus {
  readonly fields: Readonly<Record<string, number | null>>
  readonly progress: TypeProgress
}

export type RatesOf = (kind: ThroughputKind) => Rates | undefined

export async function primaryTypeStatus(
  main: Knex,
  replicable: Replicable,
  enabled: boolean,
  ratesOf: RatesOf,
): Promise<TypeStatus> {
  const { total, checksummed, checksumFailed, corrupt } = await countPrimary(main, replicable, { enabled })
  const fields = {
    count: total,
    checksum_total_count: total,
    checksummed_count: checksummed,
    checksum_failed_count: checksumFailed,
  }
  return { fields: named(replicable, fields), progress: { ...NOT_GATHERED, corrupt_count: corrupt, ...pace(ratesOf) } }
}

export async function secondaryTypeStatus(
  tracking: Knex,
  replicable: Replicable,
  enabled: boolean,
  ratesOf: RatesOf,
): Promise<TypeStatus> {
  const counts = await countRegistry(tracking, replicable, { enabled })
  const fields = {
    count: counts.registry,
    synced_count: counts.synced,
    failed_count: counts.failed,
    registry_count: counts.registry,
    verification_total_count: counts.verificationTotal,
    verified_count: counts.verified,
    verification_failed_count: counts.verificationFailed,
  }
  return { fields: named(replicable, fields), progress: progressOf(counts, ratesOf) }
}

/** The counts of GB.G.4, in its order. */
export const COUNTS = Object.freeze([
  'count',
  'checksum_total_count',
  'checksummed_count',
  'checksum_failed_count',
  'synced_count',
  'failed_count',
  'registry_count',
  'verification_total_count',
  'verified_count',
  'verification_failed_count',
] as const)
type Counts = Partial<Record<(typeof COUNTS)[number], number | null>>

/** The other role's counts are null. */
function named({ names }: Replicable, counts: Counts): Record<string, number | null> {
  return Object.fromEntries(COUNTS.map((name) => [`${names.plural}_${name}`, counts[name] ?? null]))
}

export const NO_RATE = Object.freeze({ last_minute: 0, last_5_minutes: 0, last_60_minutes: 0 })
export const NOT_GATHERED: TypeProgress = Object.freeze({
  corrupt_count: null,
  synced_bytes: null,
  pending_bytes: null,
  in_flight_count: null,
  oldest_unsynced_seconds: null,
  lag_seconds: null,
  blobs_per_second: NO_RATE,
  bytes_per_second: NO_RATE,
  remaining_seconds: null,
})

function progressOf(counts: RegistryCounts, ratesOf: RatesOf): TypeProgress {
  const paced = pace(ratesOf)
  return {
    ...NOT_GATHERED,
    ...paced,
    synced_bytes: counts.syncedBytes,
    pending_bytes: pendingBytes(counts),
    in_flight_count: counts.inFlight,
    oldest_unsynced_seconds: counts.oldestUnsyncedSeconds === null ? null : Math.max(0, counts.oldestUnsyncedSeconds),
    lag_seconds: lagOf(ratesOf('verified')?.lagCounts ?? null),
    remaining_seconds: remaining(counts, paced.blobs_per_second),
  }
}

function pace(ratesOf: RatesOf): Pick<TypeProgress, 'blobs_per_second' | 'bytes_per_second'> {
  return {
    blobs_per_second: windows(ratesOf('verified')?.blobsPerSecond),
    bytes_per_second: windows(ratesOf('synced')?.bytesPerSecond),
  }
}

function windows(rates: readonly [number, number, number] | undefined): TypeProgress['blobs_per_second'] {
  if (!rates) return NO_RATE
  return { last_minute: rates[0], last_5_minutes: rates[1], last_60_minutes: rates[2] }
}

function pendingBytes({ registry, synced, syncedBytes, unsyncedBytes, unsyncedOfKnownSize }: RegistryCounts) {
  if (registry === null || synced === null || unsyncedBytes === null) return null
  const mean = synced > 0 ? (syncedBytes ?? 0) / synced : 0
  return Math.round(unsyncedBytes + (registry - synced - (unsyncedOfKnownSize ?? 0)) * mean)
}

function remaining({ registry, verified }: RegistryCounts, rates: TypeProgress['blobs_per_second']): number | null {
  if (registry === null || verified === null) return null
  if (registry === verified) return 0
  const perSecond = rates.last_5_minutes || rates.last_60_minutes
  return perSecond > 0 ? Math.ceil((registry - verified) / perSecond) : null
}

function lagOf(counts: readonly number[] | null): TypeProgress['lag_seconds'] {
  if (!counts) return null
  let sum = 0
  const buckets = [...LAG_BOUNDS_S, null].map((le, position) => {
    sum += counts[position] ?? 0
    return { le, count: sum }
  })
  const quantile = (share: number) => buckets.find(({ count }) => count >= share * sum)?.le ?? null
  return sum === 0 ? null : { buckets, p50: quantile(0.5), p99: quantile(0.99) }
}
