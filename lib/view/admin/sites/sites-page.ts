import { html, type SafeHtml } from '@remix-run/html-template'
import { minutesOf } from '../../status/read.ts'
import type { Page, Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import type { AdminSources } from '../sources.ts'
import { siteCard } from './site-card.ts'
import { CHARTED_MINUTES } from './site-charts.ts'
import { HEALTH_TITLES, HEALTH_TONES, SITE_HEALTHS, type SiteHealth } from './site-health.ts'
import { loadSiteViews, type SiteView } from './site-view.ts'

/** All sites with what each has told of itself (GB.J.1). */
export async function sitesPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const { request, links } = visit
  const views = await loadSiteViews(sources)
  const chosen = chosenOf(request.query)
  const shown = views.filter((view) => isShown(view, chosen))
  const primary = views.find(({ site }) => site.primary)
  const sampled = await minutesOf(
    sources,
    shown.map(({ site }) => site),
    { minutes: CHARTED_MINUTES },
  )
  const cards = shown.map((view) => ({
    id: `site-${view.site.id}`,
    primary: view.site.primary,
    html: siteCard(sources, visit, view, {
      primary,
      only: views.length === 1,
      minutes: sampled.get(view.site.id) ?? [],
    }),
  }))
  return {
    title: 'Geo sites',
    area: 'sites',
    live: links.to('', { ...chosen }).slice(links.base.length) || '?',
    regions: [
      { id: 'sites-head', html: head(sources, visit) },
      { id: 'sites-tabs', html: views.length === 0 ? html`` : tabs(views, chosen, visit) },
      { id: 'sites-empty', html: emptyText(views, shown, visit) },
      { id: 'primary-title', html: cards.some((card) => card.primary) ? html`<h2>Primary site</h2>` : html`` },
      ...cards.filter((card) => card.primary),
      { id: 'secondary-title', html: cards.some((card) => !card.primary) ? html`<h2>Secondary sites</h2>` : html`` },
      ...cards.filter((card) => !card.primary),
    ],
  }
}

interface Chosen {
  readonly status: SiteHealth | ''
  readonly search: string
}

function chosenOf({ status, search }: Record<string, unknown>): Chosen {
  return {
    status: SITE_HEALTHS.find((health) => health === status) ?? '',
    search: typeof search === 'string' ? search.trim().slice(0, 255) : '',
  }
}

function isShown(view: SiteView, { status, search }: Chosen): boolean {
  return (status === '' || view.health === status) && isFound(view, search)
}

function isFound({ site }: SiteView, search: string): boolean {
  const wanted = search.toLowerCase()
  return [site.name, site.url].some((text) => text.toLowerCase().includes(wanted))
}

function head({ sites }: AdminSources, { links, mayChange }: Visit): SafeHtml {
  const mayAdd = mayChange && sites.role !== 'secondary'
  const { primary } = sites
  return html`<div class="head"><div><h1>Geo sites</h1>
<p class="quiet">The primary site takes what people write; secondary sites hold verified copies of its files.</p></div>
${mayAdd ? html`<a class="button main" href="${links.to('/sites/new')}">Add site</a>` : ''}</div>
${
  sites.role === 'secondary' && primary
    ? html`<p class="notice">Sites are added, changed and removed on the primary: <a href="${primary.url}">${primary.url}</a></p>`
    : ''
}`
}

function tabs(views: readonly SiteView[], chosen: Chosen, { links, format }: Visit): SafeHtml {
  const found = views.filter((view) => isFound(view, chosen.search))
  const tab = (status: SiteHealth | '', title: string, count: number) =>
    html`<a class="tab" href="${links.to('/sites', { status, search: chosen.search })}" ${chosen.status === status ? html`aria-current="page"` : ''}>${title}<span class="count">${format.count(count)}</span></a>`
  const healths = SITE_HEALTHS.map((health) => [health, found.filter((view) => view.health === health).length] as const)
  return html`<nav class="tabs" aria-label="Health">${tab('', 'All', found.length)}${healths
    .filter(([health, count]) => count > 0 || health === chosen.status)
    .map(([health, count]) => tab(health, HEALTH_TITLES[health], count))}</nav>
<form class="filters narrow" method="get" action="${links.sites}" role="search">
${chosen.status === '' ? '' : html`<input type="hidden" name="status" value="${chosen.status}">`}
<div class="field"><label for="search">Filter Geo sites</label><input id="search" name="search" type="search" value="${chosen.search}" placeholder="Name or URL"></div>
<button>Filter</button></form>`
}

function emptyText(views: readonly SiteView[], shown: readonly SiteView[], { links, mayChange }: Visit): SafeHtml {
  if (views.length === 0)
    return html`<div class="card empty"><h2>No sites yet</h2>
<p>Geo keeps verified copies of your files at other sites, close to the people there and ready to take over.</p>
${mayChange ? html`<p>Begin with the primary: the site that takes what people write.</p><a class="button main" href="${links.to('/sites/new')}">Add site</a>` : ''}</div>`
  if (shown.length === 0)
    return html`<div class="card empty"><h2>No Geo site found</h2><p>Edit your search and try again.</p></div>`
  return html``
}

export function healthBadge(health: SiteHealth): SafeHtml {
  return badge(HEALTH_TONES[health], HEALTH_TITLES[health])
}
