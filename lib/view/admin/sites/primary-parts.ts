import { html, type SafeHtml } from '@remix-run/html-template'
import type { Replicable } from '../../../blob/replicable.ts'
import type { Format } from '../format.ts'
import { bar } from '../parts/bar.ts'
import { definitions } from '../parts/definitions.ts'
import { secondsTimeOf } from '../parts/time.ts'
import { type SiteView, typeViews } from './site-view.ts'

const CHECKSUM_WORDS = Object.freeze({
  total: 'Total',
  done: 'Checksummed',
  queued: 'Queued',
  failed: 'Failed',
  nothing: 'Nothing to checksum',
})

/** What belongs to a primary alone: its own checksums, its replication slots, its event log. */
export function primaryParts(
  { site, status }: SiteView,
  replicables: readonly Replicable[],
  format: Format,
): { summary: SafeHtml; details: SafeHtml } {
  const types = typeViews(status, replicables)
  const slots = status?.replication_slots_count ?? null
  return {
    summary: html`<section><h4>Other information</h4>${definitions([
      [
        'Replication slot WAL',
        status?.replication_slots_max_retained_wal_bytes == null
          ? 'Unknown'
          : format.bytes(status.replication_slots_max_retained_wal_bytes),
      ],
      [
        'Replication slots',
        slots === null
          ? 'Unknown'
          : slots === 0
            ? 'No available replication slots'
            : `${format.count(status?.replication_slots_used_count)} of ${format.count(slots)} in use`,
      ],
      [
        'Last event ID',
        html`${format.count(status?.last_event_id)} <span class="quiet">${secondsTimeOf(status?.last_event_timestamp, format, '')}</span>`,
      ],
    ])}</section>`,
    details: html`<section><h4>Primary checksum progress</h4><div class="table-scroll" tabindex="0" role="group" aria-label="Primary checksum progress"><table class="cards"><thead><tr><th scope="col">Data type</th><th scope="col">Checksums</th><th scope="col" class="num">Corrupt</th></tr></thead>
<tbody>${types.map(
      (type) =>
        html`<tr><th scope="row" data-label="Data type">${type.title}</th><td data-label="Checksums">${
          type.isOn
            ? bar(
                {
                  id: `checksums-${site.id}-${type.replicable.names.plural}`,
                  title: `Checksums of ${type.title}`,
                  total: type.count('checksum_total_count'),
                  done: type.count('checksummed_count'),
                  failed: type.count('checksum_failed_count'),
                  words: CHECKSUM_WORDS,
                },
                format,
              )
            : html`<span class="quiet">Disabled</span>`
        }</td><td class="num" data-label="Corrupt">${corruptCount(type.progress?.corrupt_count, format)}</td></tr>`,
    )}</tbody></table></div></section>`,
  }
}

function corruptCount(count: number | null | undefined, format: Format): SafeHtml {
  return count ? html`<span class="bad-text">${format.count(count)}</span>` : html`${format.count(count)}`
}
