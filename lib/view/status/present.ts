import type { Replicable } from '../../blob/replicable.ts'
import type { GatheredStatus } from '../../node-status-table.ts'
import { fenceOf } from '../../site-fence.ts'
import type { Site } from '../../site-table.ts'
import { toldCount, toldLagSeconds, toldMoment } from '../../told-status.ts'
import type { SiteStatus } from './fields.ts'
import { percentage } from './percent.ts'
import { toldProgress } from './told-progress.ts'
import { COUNTS } from './type-status.ts'

/** A status that is older says nothing of the site any more: it counts as unhealthy (GB.K.1). */
const UNHEALTHY_AFTER_S = 3600
/** A secondary that has not reported for so long counts as offline. */
export const OFFLINE_AFTER_S = 90

/** What is stored of a site, from wherever it was read. */
export interface StoredStatus {
  readonly status: GatheredStatus
  readonly updatedAt: string | null
  readonly updatedAgeSeconds: number | null
  /** Unix seconds; of a secondary, when the primary last heard of it. */
  readonly lastReportAt: number | null
  readonly lastReportAgeSeconds: number | null
  readonly clockSkewMs: number | null
}

export interface Presenting {
  readonly site: Site
  readonly stored: StoredStatus
  /** What the primary has stored, to compare with. */
  readonly primaryStatus: GatheredStatus | null
  readonly replicables: readonly Pick<Replicable, 'names'>[]
  /** Of the API on this site, with a trailing slash. */
  readonly apiUrl: string
  /** The word that the caller uses for a site. */
  readonly wording: 'node' | 'site'
}

/** The status of a site as it is shown, complete whatever the site has told of itself, in whichever version. */
export function presentStatus({ site, stored, primaryStatus, replicables, apiUrl, wording }: Presenting): SiteStatus {
  const { status } = stored
  const number = (name: string) => toldCount.parse(status[name])
  const moment = (name: string) => toldMoment.parse(status[name]) ?? 0
  const health = healthOf(site, stored)
  const shards = shardsOf(status)
  const resource = `${apiUrl}geo_${wording}s/${site.id}`
  return {
    geo_node_id: Number(site.id),
    healthy: health === null,
    health: health ?? 'Healthy',
    health_status: health === null ? 'Healthy' : 'Unhealthy',
    missing_oauth_application: false,
    db_replication_lag_seconds: toldLagSeconds.parse(status['db_replication_lag_seconds']),
    replication_slots_count: number('replication_slots_count'),
    replication_slots_used_count: number('replication_slots_used_count'),
    replication_slots_used_in_percentage: percentage(
      number('replication_slots_used_count'),
      number('replication_slots_count'),
    ),
    replication_slots_max_retained_wal_bytes: number('replication_slots_max_retained_wal_bytes'),
    last_event_id: number('last_event_id'),
    last_event_timestamp: moment('last_event_timestamp'),
    cursor_last_event_id: number('cursor_last_event_id'),
    cursor_last_event_timestamp: moment('cursor_last_event_timestamp'),
    last_successful_status_check_timestamp: stored.lastReportAt,
    version: textOf(status['version']),
    revision: textOf(status['revision']),
    selective_sync_type: site.selectiveSync?.type ?? null,
    namespaces: [],
    updated_at: stored.updatedAt,
    storage_shards: shards.map((name) => ({ name })),
    storage_shards_match: site.primary ? true : primaryStatus && sameNames(shards, shardsOf(primaryStatus)),
    clock_skew_seconds: stored.clockSkewMs === null ? null : stored.clockSkewMs / 1000,
    outdated_fields: listOf(status['outdated_fields']).filter((field) => typeof field === 'string'),
    ...Object.assign({}, ...replicables.map((replicable) => typeFieldsOf(replicable, status))),
    progress: Object.fromEntries(replicables.map(({ names }) => [names.plural, toldProgress(status, names.plural)])),
    _links: { self: `${resource}/status`, [wording]: resource },
  }
}

/** The twelve of a type. What is not stored, because its flag is off or its version does not know it, is null. */
function typeFieldsOf({ names }: Pick<Replicable, 'names'>, status: GatheredStatus): Record<string, unknown> {
  const number = (name: string) => toldCount.parse(status[`${names.plural}_${name}`])
  const counts = Object.fromEntries(COUNTS.map((name) => [`${names.plural}_${name}`, number(name)]))
  return {
    ...counts,
    [`${names.plural}_synced_in_percentage`]: percentage(number('synced_count'), number('registry_count')),
    [`${names.plural}_verified_in_percentage`]: percentage(
      number('verified_count'),
      number('verification_total_count'),
    ),
  }
}

/** What is wrong with a site, or null. */
function healthOf(site: Site, { status, updatedAgeSeconds, lastReportAgeSeconds }: StoredStatus): string | null {
  const fence = fenceOf(site)
  // It gathers nothing any more: what it said last was before.
  if (fence !== null) return `STALE_EPOCH: Another site has become the primary in epoch ${fence}`
  const report = lastReportAgeSeconds ?? updatedAgeSeconds
  if (!site.primary && site.enabled && report !== null && report > OFFLINE_AFTER_S)
    return `SITE_OFFLINE: The primary has not heard of this site for ${Math.round(report)} seconds`
  if (updatedAgeSeconds !== null && updatedAgeSeconds > UNHEALTHY_AFTER_S)
    return `The status is ${Math.round(updatedAgeSeconds / 60)} minutes old`
  if (status['healthy'] === false) return textOf(status['health']) || 'Unhealthy'
  return updatedAgeSeconds === null ? 'The site has not told its status yet' : null
}

function shardsOf(status: GatheredStatus): string[] {
  return listOf(status['storage_shards']).map((shard) => textOf((shard as { name?: unknown } | null)?.name))
}

function sameNames(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && [...left].sort().join('\n') === [...right].sort().join('\n')
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
