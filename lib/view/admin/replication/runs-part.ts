import { html, type SafeHtml } from '@remix-run/html-template'
import type { BulkRun, BulkRunState } from '../../../bulk/bulk-run.ts'
import type { Visit } from '../page.ts'
import { badge, type Tone } from '../parts/badge.ts'
import { timeOf } from '../parts/time.ts'
import type { Place } from './place.ts'

const SHOWN_FOR_MS = 3_600_000
const MOST_SHOWN = 5
const STATES: Readonly<Record<BulkRunState, readonly [Tone, string]>> = {
  waiting: ['warn', 'Waiting'],
  running: ['busy', 'Running'],
  finished: ['good', 'Finished'],
  cancelled: ['off', 'Cancelled'],
}

/** The bulk runs of a type that are not finished, and those that ended within the hour. */
export function runsPart({ site, replicable }: Place, runs: readonly BulkRun[], visit: Visit): SafeHtml {
  const { format, links, mayChange, nowMs } = visit
  const ended = ({ finishedAt, cancelledAt }: BulkRun) => finishedAt ?? cancelledAt
  const shown = runs
    .filter(({ type }) => type === replicable.name)
    .filter((run) => nowMs - (ended(run)?.getTime() ?? nowMs) < SHOWN_FOR_MS)
    .slice(0, MOST_SHOWN)
  if (shown.length === 0) return html``
  return html`<div class="table-scroll" tabindex="0" role="group" aria-label="Bulk runs"><table class="cards"><thead><tr><th scope="col">Run</th><th scope="col">State</th><th scope="col">Progress</th><th scope="col" class="num">Examined</th><th scope="col" class="num">Changed</th><th scope="col">Asked</th><th scope="col"><span class="hidden-label">Actions</span></th></tr></thead>
<tbody>${shown.map(
    (
      run,
    ) => html`<tr><th scope="row" data-label="Run">${sentenceOf(run)}</th><td data-label="State">${badge(...STATES[run.state])}</td>
<td data-label="Progress"><progress max="1" value="${run.doneFraction.toFixed(3)}" aria-label="Progress of ${sentenceOf(run)}"></progress></td>
<td class="num" data-label="Examined">${format.count(run.examined)}</td><td class="num" data-label="Changed">${format.count(run.changed)}</td>
<td data-label="Asked">${timeOf(run.createdAt.toISOString(), format)}${run.requestedBy === null ? '' : html` <span class="quiet">by ${run.requestedBy}</span>`}${run.failure ? html`<p class="bad-text">${run.failure.message}</p>` : ''}</td>
<td data-label="Actions">${
      mayChange && (run.state === 'waiting' || run.state === 'running')
        ? html`<form class="inline" method="post" action="${links.below(site.id, replicable.names.plural, `runs/${run.id}/cancel`)}"><button class="small">Cancel <span class="hidden-label">${sentenceOf(run)}</span></button></form>`
        : ''
    }</td></tr>`,
  )}</tbody></table></div>`
}

/** `Resync all failed`, `Reverify 12 of them`… */
export function sentenceOf({ action, filter, dryRun }: Pick<BulkRun, 'action' | 'filter' | 'dryRun'>): string {
  const verb = action === 'resync' ? 'Resync' : 'Reverify'
  const what = filter.ids
    ? `${filter.ids.length} chosen`
    : filter.errorCode
      ? `all that failed with ${filter.errorCode}`
      : filter.syncState || filter.verificationState
        ? `all ${filter.syncState ?? filter.verificationState}`
        : 'all'
  return `${verb} ${what}${dryRun ? ' (dry run)' : ''}`
}
