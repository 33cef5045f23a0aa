import { html, type SafeHtml } from '@remix-run/html-template'
import type { RegistryEntry } from '../../../registry/registry-page.ts'
import { encodeCursor } from '../../registries/cursor.ts'
import { samplesOf } from '../../status/read.ts'
import type { Page, Visit } from '../page.ts'
import { CHARTED_MINUTES, siteCharts } from '../sites/site-charts.ts'
import { titleOf } from '../sites/site-view.ts'
import type { AdminSources } from '../sources.ts'
import { listFilters, placeChooser } from './list-filters.ts'
import {
  addressOf,
  filtersOf,
  isFiltered,
  type ListQuery,
  listQueryOf,
  PAGE_SIZE,
  shownOf,
  windowOf,
} from './list-query.ts'
import { listTable } from './list-table.ts'
import { type Place, placeOf } from './place.ts'
import { runsPart } from './runs-part.ts'

const MOST_COUNTED = 1000

/** The registries of one type at one secondary (GB.J.3). */
export async function listPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const place = await placeOf(sources, visit)
  const { site, replicable, details } = place
  const { names } = replicable
  const query = listQueryOf(visit.request.query)
  const [found, runs, samples] = await Promise.all([
    findEntries(place, query, shownOf(visit.request.query)),
    details.runs(),
    samplesOf(sources, site, { minutes: CHARTED_MINUTES }),
  ])
  const minutes = samples.filter(({ type }) => type === replicable.name)
  const { entries, count } = found
  const shown = entries.map(({ registryId }) => registryId).join(',')
  const title = `Geo replication - ${site.name}`
  const isOn = sources.gate.replicationEnabled(replicable)
  return {
    title,
    area: 'replication',
    live: `?${new URLSearchParams({ ...addressOf(query), shown })}`,
    regions: [
      {
        id: 'list-head',
        html: html`<div class="head"><div><h1>${title}</h1><p class="quiet number">${titleOf(replicable)}: ${countText(count, visit)}</p></div>
${listActions(place, visit, count)}</div>
${isOn ? '' : html`<p class="notice warn">Disabled: the flag <code>${names.flag}</code> is off here, so nothing of this type is replicated.</p>`}`,
      },
      {
        id: 'list-charts',
        html: siteCharts({ name: site.name, primary: false, minutes }, visit.nowMs, visit.format),
      },
      { id: 'list-runs', html: runsPart(place, runs, visit) },
      { id: 'list-filters', html: html`${placeChooser(sources, place, visit)}${listFilters(place, query, visit)}` },
      {
        id: 'list',
        html:
          entries.length === 0
            ? emptyText(place, query, visit)
            : html`${listTable(place, entries, query, visit)}${pager(place, found, query, visit)}`,
      },
    ],
  }
}

interface Found {
  readonly entries: readonly RegistryEntry[]
  readonly count: number
  readonly hasBefore: boolean
  readonly hasAfter: boolean
}

/** Rows that are on the page stay on it while it is live, whatever becomes of them: nothing moves under somebody's hand. */
async function findEntries({ details, replicable }: Place, query: ListQuery, shown: string[] | null): Promise<Found> {
  const filters = filtersOf(query, replicable)
  if (!filters) return { entries: [], count: 0, hasBefore: false, hasAfter: false }
  const type = replicable.name
  const window = windowOf(query)
  const found = await details.registries({ type, filters, window, countUpTo: MOST_COUNTED })
  const ordered = window.fromEnd ? [...found.entries].reverse() : found.entries
  const more = ordered.length > PAGE_SIZE
  const page = window.fromEnd ? ordered.slice(-PAGE_SIZE) : ordered.slice(0, PAGE_SIZE)
  return {
    entries: shown ? await entriesAgain({ details, replicable }, shown) : page,
    count: found.count ?? 0,
    hasBefore: window.fromEnd ? more : query.after !== '',
    hasAfter: window.fromEnd ? true : more,
  }
}

async function entriesAgain({ details, replicable }: Pick<Place, 'details' | 'replicable'>, shown: readonly string[]) {
  if (shown.length === 0) return []
  const ask = { type: replicable.name, filters: { ids: shown }, window: { limit: shown.length }, countUpTo: null }
  const { entries } = await details.registries(ask)
  const byId = new Map(entries.map((entry) => [entry.registryId, entry]))
  return shown.flatMap((id) => byId.get(id) ?? [])
}

function countText(count: number, { format }: Visit): string {
  if (count > MOST_COUNTED) return `${format.count(MOST_COUNTED)}+ Registries`
  return `${format.count(count)} ${count === 1 ? 'Registry' : 'Registries'}`
}

function listActions({ site, replicable }: Place, { links, mayChange }: Visit, count: number): SafeHtml {
  const { plural } = replicable.names
  const path = (page: string, query: Record<string, string> = {}) => links.below(site.id, plural, page, query)
  const failures = html`<a class="button" href="${path('failures')}">Failures by code</a>`
  if (!mayChange || count === 0) return html`<p class="row">${failures}</p>`
  const run = (action: string, only: string, text: string) =>
    html`<a class="button" href="${path('run', { action, only })}">${text}</a>`
  return html`<p class="row">${failures}
${run('resync', '', 'Resync all')}${run('resync', 'failed', 'Resync all failed')}
${run('reverify', '', 'Reverify all')}${run('reverify', 'failed', 'Reverify all failed')}</p>`
}

function pager(
  { site, replicable }: Place,
  { entries, hasBefore, hasAfter }: Found,
  query: ListQuery,
  { links }: Visit,
): SafeHtml {
  const [first, last] = [entries[0], entries.at(-1)]
  if (!first || !last || (!hasBefore && !hasAfter)) return html``
  const to = (change: Partial<ListQuery>) =>
    links.replication(site.id, replicable.names.plural, addressOf(query, change))
  return html`<nav class="row" aria-label="Pages">
${hasBefore ? html`<a class="button" rel="prev" href="${to({ before: encodeCursor(query.sort, first.position), after: '' })}">Previous page</a>` : ''}
${hasAfter ? html`<a class="button" rel="next" href="${to({ after: encodeCursor(query.sort, last.position), before: '' })}">Next page</a>` : ''}</nav>`
}

function emptyText({ replicable, site }: Place, query: ListQuery, { links }: Visit): SafeHtml {
  if (isFiltered(query) || query.after !== '' || query.before !== '')
    return html`<div class="card empty"><h2>No results found</h2><p>Edit your search filter and try again.</p>
<a class="button" href="${links.replication(site.id, replicable.names.plural)}">Clear the filter</a></div>`
  return html`<div class="card empty"><h2>No ${titleOf(replicable)} exist</h2><p>Once the application stores one, it appears here within a second or two. Where it does not, <code>npx geo check</code> says why.</p></div>`
}
