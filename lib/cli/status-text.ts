import type { Replicable } from '../blob/replicable.ts'
import type { Site } from '../site-table.ts'
import { apartOf, bytesOf, durationOf } from '../view/quantities.ts'
import type { SiteStatus } from '../view/status/fields.ts'
import type { Paint } from './paint.ts'

/** The layout of GB.K.2. */
const COLUMNS = 44

export interface ShownSite {
  readonly site: Site
  readonly status: SiteStatus
  readonly replicables: readonly Pick<Replicable, 'names'>[]
}

interface Line {
  readonly label: string
  readonly text: string
}

/** The status of a site as text, with a line for each type whose flag is on there. `nowMs`: what ages are counted from. */
export function statusText(shown: ShownSite, { paint, nowMs }: { paint: Paint; nowMs: number }): string {
  const sections: [heading: string, lines: Line[]][] = [
    ['Geo Site Information', siteLines(shown, paint)],
    ['Replication Information', replicationLines(shown, nowMs)],
    ['Replication Status', typeLines(shown, paint, 'replicated')],
    ['Verification Status', [...typeLines(shown, paint, 'checksummed'), ...typeLines(shown, paint, 'verified')]],
    ['Progress', shown.replicables.flatMap((replicable) => progressLines(shown, replicable))],
  ]
  const texts = sections
    .filter(([, lines]) => lines.length > 0)
    .map(([heading, lines]) => {
      const body = lines.map(({ label, text }) => `${`${label}: `.padStart(COLUMNS)}${text}\n`)
      return `${paint.heading(heading)}\n${paint.heading('-'.repeat(COLUMNS))}\n${body.join('')}`
    })
  return `${texts.join('\n')}\n`
}

function siteLines({ site, status }: ShownSite, paint: Paint): Line[] {
  const isHealthy = status.health_status === 'Healthy'
  const version = [status.version || 'unknown', ...(status.revision ? [`host ${status.revision}`] : [])].join(', ')
  return [
    { label: 'Name', text: site.name },
    { label: 'URL', text: site.url },
    { label: 'Geo Role', text: site.primary ? 'Primary' : 'Secondary' },
    ...(site.enabled ? [] : [{ label: 'Paused', text: paint.bad('yes, see geo resume') }]),
    { label: 'Health Status', text: isHealthy ? status.health_status : paint.bad(status.health_status) },
    ...(isHealthy ? [] : [{ label: 'Health Status Summary', text: paint.bad(status.health ?? '') }]),
    { label: "This Node's Version", text: version },
  ]
}

function replicationLines({ site, status }: ShownSite, nowMs: number): Line[] {
  const agoOf = (unixSeconds: number) => `${durationOf(nowMs / 1000 - unixSeconds)} ago`
  const event = (id: number | null, at: number | null) =>
    id ? `${id}${at ? ` (${agoOf(at)})` : ''}` : 'Not applicable.'
  const reported = status.last_successful_status_check_timestamp
  const lag = status.db_replication_lag_seconds
  const skew = status.clock_skew_seconds
  const { replication_slots_count: slots, replication_slots_used_count: used } = status
  const outdated = status.outdated_fields
  const common = [
    { label: 'Last status report was', text: reported === null ? 'Never' : agoOf(reported) },
    ...(outdated.length > 0 ? [{ label: 'Not gathered the last time', text: outdated.join(', ') }] : []),
  ]
  if (site.primary) {
    return [
      { label: 'Last event ID', text: event(status.last_event_id, status.last_event_timestamp) },
      ...(slots ? [{ label: 'Replication slots in use', text: `${used} of ${slots}` }] : []),
      ...common,
    ]
  }
  return [
    { label: 'Sync Settings', text: status.selective_sync_type ? `Selective (${status.selective_sync_type})` : 'Full' },
    { label: 'Database replication lag', text: lag === null ? 'N/A' : `${lag} seconds` },
    { label: 'Last event ID seen from primary', text: event(status.last_event_id, status.last_event_timestamp) },
    {
      label: 'Last event ID processed',
      text: event(status.cursor_last_event_id, status.cursor_last_event_timestamp),
    },
    ...common,
    ...(skew === null ? [] : [{ label: "Clock, against the primary's", text: apartOf(skew) }]),
  ]
}

const PARTS = Object.freeze({
  replicated: { failed: 'failed_count', succeeded: 'synced_count', total: 'registry_count' },
  checksummed: { failed: 'checksum_failed_count', succeeded: 'checksummed_count', total: 'checksum_total_count' },
  verified: { failed: 'verification_failed_count', succeeded: 'verified_count', total: 'registry_count' },
})

function typeLines({ status, replicables }: ShownSite, paint: Paint, what: keyof typeof PARTS): Line[] {
  return replicables.flatMap(({ names }) => {
    const [failed, succeeded, total] = (['failed', 'succeeded', 'total'] as const).map((part) =>
      numberOf(status[`${names.plural}_${PARTS[what][part]}`]),
    )
    // Without a total the type is off, or the other role's.
    if (total === null || total === undefined) return []
    const parts = [
      ...(failed ? [paint.bad(`failed ${failed}`)] : []),
      `succeeded ${succeeded ?? 0}`,
      `total ${total} (${flooredPercent(succeeded ?? 0, total)}%)`,
    ]
    return [{ label: `${titleOf(names)} ${what}`, text: parts.join(' / ') }]
  })
}

function progressLines({ status }: ShownSite, { names }: Pick<Replicable, 'names'>): Line[] {
  const progress = status.progress[names.plural]
  if (!progress) return []
  const title = titleOf(names)
  const { remaining_seconds: remaining, pending_bytes: pending, lag_seconds: lag } = progress
  const { last_5_minutes: blobs } = progress.blobs_per_second
  const { last_5_minutes: bytes } = progress.bytes_per_second
  const within = (seconds: number | null) => (seconds === null ? 'more than four hours' : durationOrLess(seconds))
  return [
    ...(blobs + bytes > 0
      ? [
          {
            label: `${title} in the last 5 minutes`,
            text: `${blobs.toFixed(1)} a second${bytes > 0 ? `, ${bytesOf(bytes)}/s` : ''}`,
          },
        ]
      : []),
    ...(remaining ? [{ label: `${title} remaining`, text: `about ${durationOf(remaining)}` }] : []),
    ...(pending ? [{ label: `${title} still to come`, text: bytesOf(pending) }] : []),
    ...(lag
      ? [
          {
            label: `${title} from commit to verified`,
            text: `half within ${within(lag.p50)}, 99 % within ${within(lag.p99)}`,
          },
        ]
      : []),
  ]
}

function durationOrLess(seconds: number): string {
  return seconds < 2 ? `${seconds} s` : durationOf(seconds)
}

/** `Widgets`, `Design uploads` */
export function titleOf({ plural }: Replicable['names']): string {
  const words = plural.replaceAll('_', ' ')
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

/** What is missing must not vanish in rounding; of nothing all is there. */
export function flooredPercent(part: number, total: number): number {
  return total === 0 ? 100 : Math.floor((part / total) * 100)
}

export function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}
