import { html, type SafeHtml } from '@remix-run/html-template'
import type { Page, Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import { timeOf } from '../parts/time.ts'
import { loadSiteViews, type SiteView, typeViews } from '../sites/site-view.ts'
import type { AdminSources } from '../sources.ts'
import { lastPromotionPart } from './last-promotion.ts'

/** What a promotion of each secondary would lose now, by what each has told of itself last, and what the last promotion did. */
export async function failoverPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const views = await loadSiteViews(sources)
  const primary = views.find(({ site }) => site.primary)
  const secondaries = views.filter(({ site }) => !site.primary)
  return {
    title: 'Failover',
    area: 'failover',
    live: '?',
    regions: [
      {
        id: 'failover-head',
        html: html`<h1>Failover</h1>
<p class="quiet">What would be lost if a secondary became the primary now. Counts are at most a minute old; each site has a list, row by row.</p>`,
      },
      {
        id: 'failover-sites',
        html:
          secondaries.length === 0
            ? html`<div class="card empty"><h2>There is no secondary site</h2><p>Without one, whatever is lost with the primary is lost.</p></div>`
            : html`<div class="table-scroll" tabindex="0" role="group" aria-label="Secondary sites"><table class="cards"><thead><tr><th scope="col">Site</th><th scope="col">Would be lost</th><th scope="col" class="num">Not verified there</th><th scope="col" class="num">Events not read</th><th scope="col" class="num">Database lag</th><th scope="col">As of</th></tr></thead>
<tbody>${secondaries.map((view) => row(sources, view, primary, visit))}</tbody></table></div>`,
      },
      { id: 'failover-last', html: await lastPromotionPart(sources.databases.main, visit) },
    ],
  }
}

function row(
  { settings }: AdminSources,
  view: SiteView,
  primary: SiteView | undefined,
  { links, format }: Visit,
): SafeHtml {
  const { site, status, health } = view
  const unproven = sumOf(
    typeViews(status, settings.replicables)
      .filter(({ isOn }) => isOn)
      .map((type) => differenceOf(type.count('registry_count'), type.count('verified_count'))),
  )
  const newest = primary?.status?.last_event_id ?? status?.last_event_id ?? 0
  // Where there never was an event, none has been read.
  const unread = health === 'unknown' ? null : differenceOf(newest, status?.cursor_last_event_id ?? 0)
  const lag = status?.db_replication_lag_seconds ?? null
  return html`<tr><th scope="row" data-label="Site"><a href="${links.to(`/failover/${site.id}`)}">${site.name}</a></th>
<td data-label="Would be lost">${verdict(health, unproven, unread, lag)}</td>
<td class="num" data-label="Not verified there">${format.count(unproven)}</td><td class="num" data-label="Events not read">${format.count(unread)}</td>
<td class="num" data-label="Database lag">${format.duration(lag)}</td><td data-label="As of">${timeOf(status?.updated_at, format, 'never')}</td></tr>`
}

function verdict(
  health: SiteView['health'],
  unproven: number | null,
  unread: number | null,
  lag: number | null,
): SafeHtml {
  if (health === 'unknown' || unproven === null || unread === null) return badge('warn', 'Not known')
  if (health === 'offline') return badge('bad', 'Not known: offline')
  if (unproven + unread > 0 || (lag ?? 0) > 0) return badge('bad', 'Some')
  return badge('good', 'Nothing')
}

function differenceOf(all: number | null, part: number | null): number | null {
  return all === null || part === null ? null : Math.max(all - part, 0)
}

function sumOf(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>((sum, value) => (sum === null || value === null ? null : sum + value), 0)
}
