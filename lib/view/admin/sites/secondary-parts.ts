import { html, type SafeHtml } from '@remix-run/html-template'
import type { Replicable } from '../../../blob/replicable.ts'
import type { Site } from '../../../site-table.ts'
import type { SiteStatus } from '../../status/fields.ts'
import type { Format } from '../format.ts'
import type { Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import { bar } from '../parts/bar.ts'
import { definitions } from '../parts/definitions.ts'
import { secondsTimeOf } from '../parts/time.ts'
import { type SiteView, type TypeView, typeViews } from './site-view.ts'

const SYNC_WORDS = Object.freeze({
  total: 'Total',
  done: 'Synced',
  queued: 'Queued',
  failed: 'Failed',
  nothing: 'Nothing to synchronize',
})
const VERIFICATION_WORDS = Object.freeze({ ...SYNC_WORDS, done: 'Verified', nothing: 'Nothing to verify' })
const CLOCK_LIMIT_S = 1

/** What belongs to a secondary alone: how far its copies are, and how far its database. */
export function secondaryParts(
  { site, status }: SiteView,
  replicables: readonly Replicable[],
  visit: Visit,
): { summary: SafeHtml; details: SafeHtml } {
  const { format } = visit
  const types = typeViews(status, replicables)
  const lag = status?.db_replication_lag_seconds ?? null
  return {
    summary: html`<section><h4>Replication summary</h4>${definitions([
      ['Database replication', databaseReplication(site, lag)],
      ['Database connection', lag === null ? 'Direct' : 'Replicating'],
      [
        'Synchronization settings',
        html`${site.selectiveSync ? `Selective (${site.selectiveSync.type})` : 'Full'} <span class="quiet">${eventLag(status, format)}</span>`,
      ],
      ['Synchronized', overall(types, 'synced_count', 'registry_count', format)],
      ['Verified', overall(types, 'verified_count', 'verification_total_count', format)],
      ['Remaining', remaining(types, format)],
    ])}</section>
<section><h4>Other information</h4>${definitions([
      ['Data replication lag', lag === null ? 'Not applicable.' : format.duration(lag)],
      [
        'Last event ID from primary',
        html`${format.count(status?.last_event_id)} <span class="quiet">${secondsTimeOf(status?.last_event_timestamp, format, '')}</span>`,
      ],
      [
        'Last event ID processed',
        html`${format.count(status?.cursor_last_event_id)} <span class="quiet">${secondsTimeOf(status?.cursor_last_event_timestamp, format, '')}</span>`,
      ],
      ['Storage config', storageConfig(status)],
      ['Clock, against the primary', clock(status?.clock_skew_seconds, format)],
      ['Last status report', secondsTimeOf(status?.last_successful_status_check_timestamp, format, 'never')],
    ])}</section>`,
    details: html`<section><h4>Replication Details</h4><div class="table-scroll" tabindex="0" role="group" aria-label="Replication Details of ${site.name}"><table class="cards"><thead><tr><th scope="col">Component</th><th scope="col">Synchronization status</th><th scope="col">Verification status</th><th scope="col" class="num">Rate</th><th scope="col" class="num">Oldest waiting</th><th scope="col" class="num">Remaining time</th></tr></thead>
<tbody>${types.map((type) => typeRow(site, type, visit))}</tbody></table></div></section>`,
  }
}

function typeRow(site: Site, type: TypeView, { links, format }: Visit): SafeHtml {
  const { plural } = type.replicable.names
  if (!type.isOn)
    return html`<tr><th scope="row" data-label="Component">${type.title}</th><td colspan="5" data-label="Status"><span class="quiet">Disabled</span></td></tr>`
  const { progress } = type
  return html`<tr><th scope="row" data-label="Component"><a href="${links.replication(site.id, plural)}">${type.title}</a></th>
<td data-label="Synchronization">${bar(
    {
      id: `sync-${site.id}-${plural}`,
      title: `Synchronization of ${type.title}`,
      total: type.count('registry_count'),
      done: type.count('synced_count'),
      failed: type.count('failed_count'),
      words: SYNC_WORDS,
    },
    format,
  )}</td><td data-label="Verification">${bar(
    {
      id: `verification-${site.id}-${plural}`,
      title: `Verification of ${type.title}`,
      total: type.count('verification_total_count'),
      done: type.count('verified_count'),
      failed: type.count('verification_failed_count'),
      words: VERIFICATION_WORDS,
    },
    format,
  )}</td><td class="num" data-label="Rate">${format.decimal(progress?.blobs_per_second.last_minute)}/s</td>
<td class="num" data-label="Oldest waiting">${format.duration(progress?.oldest_unsynced_seconds)}</td>
<td class="num" data-label="Remaining time">${format.duration(progress?.remaining_seconds)}</td></tr>`
}

/** GB.J.1: whether the database replicates is known by its lag. */
function databaseReplication({ enabled }: Site, lag: number | null): SafeHtml {
  if (lag === null) return badge('off', 'Disabled')
  return enabled ? badge('good', 'Enabled') : badge('warn', 'Paused')
}

function eventLag(status: SiteStatus | undefined, format: Format): string {
  const { last_event_id: last, cursor_last_event_id: read } = status ?? {}
  if (last == null || read == null) return ''
  const events = Math.max(last - read, 0)
  const newest = status?.last_event_timestamp ?? 0
  const handled = status?.cursor_last_event_timestamp ?? 0
  // A site that is new has handled none: there is no moment from which to count.
  if (events > 0 && handled === 0) return `${format.count(events)} events behind`
  return `${format.duration(Math.max(newest - handled, 0))} behind (${format.count(events)} events)`
}

function overall(
  types: readonly TypeView[],
  part: Parameters<TypeView['count']>[0],
  total: Parameters<TypeView['count']>[0],
  format: Format,
): SafeHtml {
  const sum = (name: typeof part) => types.reduce((all, type) => all + (type.count(name) ?? 0), 0)
  const [done, all] = [sum(part), sum(total)]
  if (all === 0) return badge('off', format.share(null, null))
  return badge(done === all ? 'good' : 'bad', format.share(done, all))
}

function remaining(types: readonly TypeView[], format: Format): string {
  const known = types.flatMap(({ progress }) => progress?.remaining_seconds ?? [])
  if (known.length === 0) return 'Unknown'
  const longest = Math.max(...known)
  return longest === 0 ? 'Nothing' : format.duration(longest)
}

function storageConfig(status: SiteStatus | undefined): SafeHtml {
  const match = status?.storage_shards_match ?? null
  if (match === null) return html`Unknown`
  return match ? badge('good', 'OK') : badge('bad', "Does not match the primary's")
}

function clock(seconds: number | null | undefined, format: Format): SafeHtml {
  if (seconds == null) return html`Unknown`
  const text = `${format.decimal(Math.abs(seconds))} s ${seconds < 0 ? 'behind' : 'ahead'}`
  return Math.abs(seconds) > CLOCK_LIMIT_S ? html`<span class="bad-text">${text}</span>` : html`${text}`
}
