import { html, type SafeHtml } from '@remix-run/html-template'
import type { FailureGroup } from '../../failures.ts'
import type { Page, Visit } from '../page.ts'
import { timeOf } from '../parts/time.ts'
import { titleOf } from '../sites/site-view.ts'
import type { AdminSources } from '../sources.ts'
import { type Place, placeOf } from './place.ts'

/** What failed of a type, grouped by code. It reads the registry once, so it is a page of its own and not live. */
export async function failuresPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const place = await placeOf(sources, visit)
  const { site, replicable, details } = place
  const groups = await details.failures(replicable.name)
  const title = `Failures of ${titleOf(replicable).toLowerCase()} at ${site.name}`
  return {
    title,
    area: 'replication',
    live: null,
    regions: [
      {
        id: 'failures',
        html: html`<div class="head"><div><h1>${title}</h1><p class="quiet">Grouped by code, those that are most first.</p></div>
<a class="button" href="${visit.links.replication(site.id, replicable.names.plural)}">All registries</a></div>
${groups.length === 0 ? html`<div class="card empty"><h2>Nothing failed</h2></div>` : groups.map((group) => card(place, group, visit))}`,
      },
    ],
  }
}

function card({ site, replicable }: Place, group: FailureGroup, { links, format, mayChange }: Visit): SafeHtml {
  const { code, count, newest, advice, retries } = group
  const { plural, className } = replicable.names
  return html`<section class="card"><div class="body"><div class="head"><h2><code>${code}</code> <span class="count">${format.count(count)}</span></h2>
${
  mayChange && retries.length > 0
    ? html`<form method="post" action="${links.below(site.id, plural, 'failures')}"><input type="hidden" name="code" value="${code}"><button>Retry all <span class="hidden-label">${code}</span></button></form>`
    : ''
}</div>
${advice === null ? '' : html`<p>${advice}</p>`}
<p class="quiet wrap">Newest: <a href="${links.replication(site.id, plural, { ids: `${className}/${newest.id}` })}">${className}/${newest.id}</a> ${timeOf(newest.at, format, '')}${newest.message === null ? '' : html`: ${newest.message}`}</p></div></section>`
}
