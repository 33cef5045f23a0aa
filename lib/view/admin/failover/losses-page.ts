import { html, type SafeHtml } from '@remix-run/html-template'
import type { Replicable } from '../../../blob/replicable.ts'
import { GeoError } from '../../../errors.ts'
import { countUnheard, type UnheardRecord, unheardRecords } from '../../../event/unheard.ts'
import { loadNodeStatuses } from '../../../node-status-table.ts'
import type { RegistryEntry } from '../../../registry/registry-page.ts'
import type { Site } from '../../../site-table.ts'
import { decodeCursor, encodeCursor } from '../../registries/cursor.ts'
import type { Page, Visit } from '../page.ts'
import { timeOf } from '../parts/time.ts'
import { syncBadge, verificationBadge } from '../replication/states.ts'
import { siteOf } from '../sites/site-of.ts'
import { titleOf } from '../sites/site-view.ts'
import type { AdminSources } from '../sources.ts'

const PAGE_SIZE = 50
const MOST_COUNTED = 10_000
const SORT = 'ID_ASC'

/** What a promotion of one secondary would lose, row by row: of one type at a time. */
export async function lossesPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const { request, links, asker } = visit
  const site = await siteOf(sources, visit)
  if (site.primary) throw new GeoError('PAGE_UNKNOWN', 'There is no such secondary site')
  const types = sources.settings.replicables.filter((replicable) => sources.gate.replicationEnabled(replicable))
  const replicable = types.find(({ names }) => names.plural === request.query['type']) ?? types[0]
  const title = `What a promotion of ${site.name} would lose`
  const regions = [
    {
      id: 'losses-head',
      html: html`<div class="head"><div><h1>${title}</h1><p class="quiet">Rows whose file is not there, or is not proven to be right. A promotion keeps everything else.</p></div><a class="button" href="${links.to('/failover')}">All sites</a></div>
${types.length > 1 && replicable ? typeChooser(site, types, replicable, visit) : ''}`,
    },
  ]
  if (!replicable)
    return {
      title,
      area: 'failover',
      live: null,
      regions: [...regions, { id: 'losses', html: html`<div class="card empty"><h2>No type is released</h2></div>` }],
    }
  const after = typeof request.query['after'] === 'string' ? request.query['after'] : ''
  const found = await sources.details.of(site, asker).losses({
    type: replicable.name,
    window: { limit: PAGE_SIZE + 1, ...(after !== '' && { after: decodeCursor(SORT, after) }) },
    countUpTo: MOST_COUNTED,
  })
  return {
    title,
    area: 'failover',
    live: null,
    regions: [
      ...regions,
      { id: 'unheard', html: await unheardPart(sources, site, replicable, visit) },
      { id: 'losses', html: lossesPart(site, replicable, found.entries, found.count ?? 0, visit) },
    ],
  }
}

function typeChooser(site: Site, types: readonly Replicable[], chosen: Replicable, { links }: Visit): SafeHtml {
  return html`<form class="filters" method="get" action="${links.to(`/failover/${site.id}`)}"><div class="field"><label for="type">Type</label><select id="type" name="type">${types.map(
    (each) =>
      html`<option value="${each.names.plural}" ${each === chosen ? html`selected` : ''}>${titleOf(each)}</option>`,
  )}</select></div><button>Show</button></form>`
}

/** Only the primary knows what has not reached the replica of a secondary yet. */
async function unheardPart(
  { sites, databases }: AdminSources,
  site: Site,
  replicable: Replicable,
  { format }: Visit,
): Promise<SafeHtml> {
  if (sites.role !== 'primary')
    return html`<p class="notice warn">What the primary has written and this site has not heard of is known to the primary alone: look there, if it still answers.</p>`
  const position = (await loadNodeStatuses(databases.main)).get(site.id)?.position ?? null
  const [records, ofAll] = await Promise.all([
    unheardRecords(databases.main, position, { types: [replicable.name], limit: PAGE_SIZE + 1 }),
    countUnheard(databases.main, position, MOST_COUNTED),
  ])
  return html`<h2>Not heard of yet <span class="count">${upTo(ofAll, MOST_COUNTED, format)}</span></h2>
${ofAll === 0 ? html`<p class="quiet">Every event has been read there.</p>` : unheardTable(replicable, records, { format })}`
}

function unheardTable(
  replicable: Replicable,
  records: readonly UnheardRecord[],
  { format }: Pick<Visit, 'format'>,
): SafeHtml {
  const { names } = replicable
  if (records.length === 0) return html`<p class="quiet">None of them are ${titleOf(replicable).toLowerCase()}.</p>`
  return html`<div class="table-scroll" tabindex="0" role="group" aria-label="Not heard of yet"><table class="cards"><thead><tr><th scope="col">Record</th><th scope="col">Event</th><th scope="col">Written</th></tr></thead><tbody>${records
    .slice(0, PAGE_SIZE)
    .map(
      ({ recordId, event, at }) =>
        html`<tr><th scope="row" class="wrap" data-label="Record">${names.className}/${recordId}</th><td data-label="Event">${event}</td><td data-label="Written">${timeOf(at, format)}</td></tr>`,
    )}</tbody></table></div>${records.length > PAGE_SIZE ? html`<p class="quiet">The oldest ${format.count(PAGE_SIZE)} are shown.</p>` : ''}`
}

function lossesPart(
  site: Site,
  { names }: Replicable,
  entries: readonly RegistryEntry[],
  count: number,
  { links, format }: Visit,
): SafeHtml {
  const shown = entries.slice(0, PAGE_SIZE)
  const last = shown.at(-1)
  const title = html`<h2>Not there, or not proven <span class="count">${upTo(count, MOST_COUNTED, format)}</span></h2>`
  if (!last) return html`${title}<p class="quiet">Every file that this site knows of is there and verified.</p>`
  return html`${title}<div class="table-scroll" tabindex="0" role="group" aria-label="Not there, or not proven"><table class="cards"><thead><tr><th scope="col">Registry</th><th scope="col">Record</th><th scope="col">File</th><th scope="col">Verification</th><th scope="col">Why</th></tr></thead><tbody>${shown.map(
    ({ registryId, recordId, state, verificationState, errorCode, lastSyncFailure, verificationFailure }) =>
      html`<tr><th scope="row" data-label="Registry"><a href="${links.below(site.id, names.plural, registryId)}">${names.registryClass}/${registryId}</a></th><td class="wrap" data-label="Record">${names.className}/${recordId}</td><td data-label="File">${syncBadge(state)}</td><td data-label="Verification">${verificationBadge(verificationState)}</td><td class="wrap" data-label="Why">${errorCode === null ? '' : html`<code>${errorCode}</code> `}${lastSyncFailure ?? verificationFailure ?? ''}</td></tr>`,
  )}</tbody></table></div>
${entries.length > PAGE_SIZE ? html`<nav class="row" aria-label="Pages"><a class="button" rel="next" href="${links.to(`/failover/${site.id}`, { type: names.plural, after: encodeCursor(SORT, last.position) })}">Next page</a></nav>` : ''}`
}

function upTo(count: number, most: number, format: Visit['format']): string {
  return count > most ? `${format.count(most)}+` : format.count(count)
}
