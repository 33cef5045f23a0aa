import { html, type SafeHtml } from '@remix-run/html-template'
import type { AuditEntry } from '../../../audit.ts'
import type { Page, Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import { timeOf } from '../parts/time.ts'
import type { AdminSources } from '../sources.ts'

const PAGE_SIZE = 50

/** Who changed what, when and from where, the newest first. */
export async function auditPage({ audit }: AdminSources, { request, links, format }: Visit): Promise<Page> {
  const { before } = request.query
  const entries = await audit.list({
    before: typeof before === 'string' && before !== '' ? before : null,
    limit: PAGE_SIZE + 1,
  })
  const shown = entries.slice(0, PAGE_SIZE)
  const last = shown.at(-1)
  return {
    title: 'Audit log',
    area: 'audit',
    live: null,
    regions: [
      {
        id: 'audit',
        html: html`<h1>Audit log</h1><p class="quiet">Changes that were asked of this site, the newest first; they are kept for a year.</p>
${
  last
    ? html`<div class="table-scroll" tabindex="0" role="group" aria-label="Changes"><table class="cards"><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">From</th><th scope="col">What</th><th scope="col">Site</th><th scope="col">Outcome</th></tr></thead><tbody>${shown.map((entry) => row(entry, format))}</tbody></table></div>
${entries.length > PAGE_SIZE ? html`<nav class="row" aria-label="Pages"><a class="button" rel="next" href="${links.to('/audit', { before: last.id })}">Older ones</a></nav>` : ''}`
    : html`<div class="card empty"><h2>Nothing has been changed yet</h2></div>`
}`,
      },
    ],
  }
}

function row(
  { at, operator, ip, action, subject, details, site, outcome }: AuditEntry,
  format: Visit['format'],
): SafeHtml {
  const tone = outcome === 'done' ? 'good' : outcome === 'asked' ? 'warn' : 'bad'
  const asked = Object.keys(details).length === 0 ? '' : JSON.stringify(details)
  return html`<tr><td data-label="When">${timeOf(at, format)}</td><td class="wrap" data-label="Who">${operator ?? html`<span class="quiet">not said</span>`}</td><td class="wrap" data-label="From">${ip ?? '–'}</td>
<td class="wrap" data-label="What"><div><p>${action} ${subject ?? ''}</p>${asked === '' ? '' : html`<p class="quiet"><code>${asked}</code></p>`}</div></td><td class="wrap" data-label="Site">${site}</td><td data-label="Outcome">${badge(tone, outcome)}</td></tr>`
}
