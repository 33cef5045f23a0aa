import type { ReplicableNames } from '../../blob/names.ts'
import { LAG_BOUNDS_S } from '../../throughput-table.ts'
import type { PROGRESS_FIELDS, SITE_FIELDS } from '../status/fields.ts'
import { COUNTS } from '../status/type-status.ts'

/** All metrics by name: the one source of what is exported, of their documentation, the dashboard and the alert rules. */

export interface Metric {
  readonly name: string
  readonly help: string
  readonly kind: 'gauge' | 'counter' | 'histogram'
  readonly labels: readonly string[]
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[]
}

/** A gauge that shows a field of a site's status. */
export interface StatusGauge extends Metric {
  readonly field: string
}

/** `name` is the site's; `url` is its name too, for dashboards that read it (GB.I). */
const SITE_LABELS = Object.freeze(['name', 'url'])

/** GB.I: `geo_` and the field, without one trailing `_count` or `_total`. */
export function gaugeName(field: string): string {
  return `geo_${field.replace(/_(count|total)$/, '')}`
}

function statusGauge(field: string, help: string, name = gaugeName(field)): StatusGauge {
  return Object.freeze({ name, field, help, kind: 'gauge', labels: SITE_LABELS })
}

const siteGauge = (field: keyof typeof SITE_FIELDS, help: string, name?: string) => statusGauge(field, help, name)

export const SITE_GAUGES: readonly StatusGauge[] = Object.freeze([
  siteGauge('healthy', '1 where nothing keeps the site from replicating and verifying, else 0', 'geo_site_healthy'),
  siteGauge('db_replication_lag_seconds', 'Seconds that the replica of a secondary is behind the primary'),
  siteGauge('replication_slots_count', 'Physical replication slots on the primary'),
  siteGauge('replication_slots_used_count', 'Physical replication slots on the primary that have a connection'),
  siteGauge('replication_slots_max_retained_wal_bytes', 'Most bytes of WAL that a replication slot holds back'),
  siteGauge('last_event_id', 'Newest event in the log that the site sees'),
  siteGauge('last_event_timestamp', 'When the newest event was written, in seconds since the epoch'),
  siteGauge('cursor_last_event_id', 'Event up to which a secondary has handled all'),
  siteGauge('cursor_last_event_timestamp', 'When that event was written, in seconds since the epoch'),
  siteGauge(
    'last_successful_status_check_timestamp',
    'When the primary last heard of the site, in seconds since the epoch',
  ),
  siteGauge('clock_skew_seconds', "Seconds that the clock of a secondary is ahead of the primary's"),
])

const TYPE_HELP: Readonly<Record<(typeof COUNTS)[number], (title: string) => string>> = Object.freeze({
  count: (title) => `Number of ${title} on the primary, and in the registry of a secondary`,
  checksum_total_count: (title) => `Number of ${title} available to checksum on the primary`,
  checksummed_count: (title) => `Number of ${title} checksummed on the primary`,
  checksum_failed_count: (title) => `Number of ${title} that failed to checksum on the primary`,
  synced_count: (title) => `Number of ${title} synced on the secondary`,
  failed_count: (title) => `Number of ${title} that failed to sync on the secondary`,
  registry_count: (title) => `Number of ${title} in the registry of the secondary`,
  verification_total_count: (title) => `Number of ${title} available to verify on the secondary`,
  verified_count: (title) => `Number of ${title} verified on the secondary`,
  verification_failed_count: (title) => `Number of ${title} that failed to verify on the secondary`,
})

const PROGRESS_HELP: Partial<Record<keyof typeof PROGRESS_FIELDS, (title: string) => string>> = Object.freeze({
  corrupt_count: (title) => `Number of ${title} on the primary whose bytes are not as recorded`,
  synced_bytes: (title) => `Bytes of the ${title} that are on the secondary`,
  pending_bytes: (title) => `Bytes of the ${title} that are still to come, as far as known`,
  in_flight_count: (title) => `Number of ${title} that are being fetched`,
  oldest_unsynced_seconds: (title) => `How long the oldest of the ${title} that are not on the secondary has waited`,
  remaining_seconds: (title) => `Seconds until all ${title} are verified, at the pace of the last minutes`,
})

/** The ten of GB.I, which show the counts of GB.G.4. */
export function typeGauges(names: Pick<ReplicableNames, 'plural'>): StatusGauge[] {
  const title = names.plural.replaceAll('_', ' ')
  return COUNTS.map((count) => statusGauge(`${names.plural}_${count}`, TYPE_HELP[count](title)))
}

/** What is told of a type beyond the ten; their fields are those of `progress`. */
export function progressGauges(names: Pick<ReplicableNames, 'plural'>): StatusGauge[] {
  const title = names.plural.replaceAll('_', ' ')
  return Object.entries(PROGRESS_HELP).map(([field, help]) =>
    statusGauge(field, help(title), gaugeName(`${names.plural}_${field}`)),
  )
}

/** GB.I; of the secondary that is asked. */
export const STATUS_FAILED: Metric = Object.freeze({
  name: 'geo_status_failed_total',
  help: 'Times that the site failed to send its status to the primary',
  kind: 'counter',
  labels: SITE_LABELS,
})

const WORK_BOUNDS_S = Object.freeze([0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800])

const processMetric = (
  kind: Metric['kind'],
  name: string,
  labels: readonly string[],
  help: string,
  buckets?: readonly number[],
): Metric => Object.freeze({ kind, name, labels: ['name', ...labels], help, ...(buckets && { buckets }) })

/** What the process that is asked has done or does, `name` being its site's. */
export const PROCESS_METRICS = Object.freeze({
  transfers: processMetric(
    'counter',
    'geo_transfers_total',
    ['type', 'outcome'],
    'Batches of blobs that were asked of the primary, by outcome: answered, refused, cut',
  ),
  synced: processMetric(
    'counter',
    'geo_blobs_synced_total',
    ['type', 'fetched'],
    'Blobs that were put in their place, or found there (fetched="false")',
  ),
  receivedBytes: processMetric('counter', 'geo_received_bytes_total', ['type'], 'Bytes of blobs that were fetched'),
  failures: processMetric(
    'counter',
    'geo_failures_total',
    ['type', 'during', 'code'],
    'Attempts that failed, by error code, during sync, verification or removal',
  ),
  removed: processMetric('counter', 'geo_blobs_removed_total', ['type'], 'Blobs that were removed from the secondary'),
  syncSeconds: processMetric(
    'histogram',
    'geo_sync_seconds',
    ['type'],
    'From the claim of a blob until it is in its place',
    WORK_BOUNDS_S,
  ),
  verificationSeconds: processMetric(
    'histogram',
    'geo_verification_seconds',
    ['type'],
    'From the claim of a blob until its bytes are judged',
    WORK_BOUNDS_S,
  ),
  lag: processMetric(
    'histogram',
    'geo_lag_seconds',
    ['type'],
    "From the host's transaction on the primary until the blob is verified on the secondary",
    LAG_BOUNDS_S,
  ),
  queueWait: processMetric(
    'histogram',
    'geo_queue_wait_seconds',
    ['type'],
    "From the host's transaction on the primary until a first attempt to fetch begins on the secondary",
    LAG_BOUNDS_S,
  ),
  paused: processMetric('gauge', 'geo_transfers_paused', [], '1 while transfers pause because of the primary, else 0'),
  leases: processMetric('gauge', 'geo_leases_held', [], 'Leases that the process renews: claims on blobs and jobs'),
  threads: processMetric(
    'gauge',
    'geo_threads',
    ['pool'],
    'Worker threads that run, of the pools transfer and checksum',
  ),
  threadQueue: processMetric('gauge', 'geo_thread_queue', ['pool'], 'Tasks that wait for a worker thread'),
  threadUtilization: processMetric(
    'gauge',
    'geo_thread_utilization_ratio',
    ['pool'],
    'Share of their life that the threads of a pool have worked',
  ),
})
