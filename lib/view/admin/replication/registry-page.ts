import { html, type SafeHtml } from '@remix-run/html-template'
import { GeoError } from '../../../errors.ts'
import type { Explanation } from '../../explain.ts'
import { globalIdOf } from '../../registries/global-id.ts'
import type { Format } from '../format.ts'
import type { Page, Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import { definitions } from '../parts/definitions.ts'
import { timeOf } from '../parts/time.ts'
import type { AdminSources } from '../sources.ts'
import { type Place, placeOf } from './place.ts'
import { syncBadge, verificationBadge } from './states.ts'

/** One registry: everything that its site knows of the blob (GB.J.4), as `geo explain` says it. */
export async function registryPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const place = await placeOf(sources, visit)
  const { registry: registryId } = visit.request.params
  if (!/^\d{1,18}$/.test(String(registryId))) throw new GeoError('PAGE_UNKNOWN', 'There is no such registry')
  const known = await place.details.explain(place.replicable.name, { registryId: String(registryId) })
  const { registryClass } = place.replicable.names
  const title = `${registryClass}/${registryId}`
  const { format } = visit
  return {
    title: `${title} at ${place.site.name}`,
    area: 'replication',
    live: '?',
    regions: [
      { id: 'registry-head', html: head(place, String(registryId), title, known, visit) },
      {
        id: 'registry-parts',
        html: html`<div class="columns">
${section('Registry information', registryLines(place, String(registryId), known, format))}
${section('Replication information', replicationLines(known, format))}
${section('Verification information', verificationLines(known, format))}
${section("The host's row", rowLines(known))}
${section('File on this site', fileLines(known, format))}
${section('On the primary', primaryLines(known, format))}</div>`,
      },
      { id: 'registry-checksums', html: checksums(known) },
      { id: 'registry-events', html: events(known, format) },
    ],
  }
}

type Lines = Parameters<typeof definitions>[0]

function section(title: string, lines: Lines): SafeHtml {
  return html`<section class="card"><div class="body"><h2>${title}</h2>${definitions(lines)}</div></section>`
}

function head(
  { site, replicable }: Place,
  registryId: string,
  title: string,
  known: Explanation,
  { links, mayChange }: Visit,
): SafeHtml {
  const { plural } = replicable.names
  const { failure, copy } = known
  return html`<div class="head"><div><h1>${title}</h1><p class="quiet">${known.type} ${known.id} at ${site.name}</p></div>
<p class="row"><a class="button" href="${links.replication(site.id, plural)}">All registries</a></p></div>
${
  mayChange && copy
    ? html`<form class="row" method="post" action="${links.below(site.id, plural, 'change', { registry: registryId })}"><button name="resync" value="${registryId}">Resync</button>${copy.state === 'synced' ? html`<button name="reverify" value="${registryId}">Reverify</button>` : ''}</form>`
    : ''
}
${known.summary.length > 0 ? html`<ul class="summary">${known.summary.map((text) => html`<li>${text}</li>`)}</ul>` : ''}
${
  failure
    ? html`<div class="notice bad"><p>${failure.code ? html`<code>${failure.code}</code> ` : ''}${failure.message}</p>${failure.advice ? html`<p class="quiet">${failure.advice}</p>` : ''}</div>`
    : ''
}`
}

function registryLines(
  { replicable }: Place,
  registryId: string,
  { id, copy, lease }: Explanation,
  format: Format,
): Lines {
  const { className } = replicable.names
  return [
    ['Registry ID', registryId],
    ['GraphQL ID', html`<code>${globalIdOf(replicable, registryId)}</code>`],
    ['Record', `${className}/${id}`],
    ['Created', timeOf(copy?.createdAt, format)],
    ['To be removed', copy?.isLeaving ? 'yes' : null],
    ['Backfill', copy?.isBackfill ? 'yes' : null],
    [
      'Worked by',
      copy?.leaseId
        ? lease
          ? `process ${lease.holder}, for ${format.duration(lease.heldSeconds)}`
          : 'a process that has ended'
        : null,
    ],
    ['Processes lost in a row', copy && copy.workerLosses > 0 ? format.count(copy.workerLosses) : null],
  ]
}

function replicationLines({ copy, failure, primary }: Explanation, format: Format): Lines {
  if (!copy) return [['Status', 'There is no registry row']]
  return [
    ['Status', syncBadge(copy.state)],
    ['Last synced', timeOf(copy.lastSyncedAt, format, 'never')],
    [
      'Retry',
      copy.state === 'failed'
        ? html`${timeOf(copy.retryAt, format, 'now')}, after ${format.count(copy.attempts)} attempts`
        : null,
    ],
    ['Error', copy.syncFailure],
    [
      'On the primary',
      failure?.code === 'FILE_NOT_FOUND' && !primary?.checksum ? badge('bad', 'Missing on Primary!') : null,
    ],
  ]
}

function verificationLines({ copy }: Explanation, format: Format): Lines {
  if (!copy) return [['Status', 'There is no registry row']]
  return [
    ['Status', verificationBadge(copy.verificationState)],
    ['Last verified', timeOf(copy.verifiedAt, format, 'never')],
    [
      'Retry',
      copy.verificationState === 'failed'
        ? html`${timeOf(copy.verificationRetryAt, format, 'now')}, after ${format.count(copy.verificationAttempts)} attempts`
        : null,
    ],
    ['Error', copy.verificationFailure],
  ]
}

function rowLines({ row, flagIsOn }: Explanation): Lines {
  const yesNo = (value: boolean) => (value ? 'yes' : 'no')
  return [
    ['There', yesNo(row.isThere)],
    ['Has a file', row.isThere ? yesNo(row.isAvailable) : null],
    ['Belongs on this site', row.isThere ? yesNo(row.isInScope) : null],
    ['Key of its file', row.key === null ? null : html`<code>${row.key}</code>`],
    ['Failure of blob()', row.failure],
    ['Flag of the type', flagIsOn ? 'on' : 'off'],
  ]
}

function fileLines({ file, copy }: Explanation, format: Format): Lines {
  if (!file) return [['Path', 'not known']]
  return [
    ['Path', html`<code>${file.path}</code>`],
    ['On disk now', file.problem ?? (file.bytes === null ? 'no' : format.bytes(file.bytes))],
    ['Size by the registry', copy?.bytes == null ? null : format.bytes(copy.bytes)],
  ]
}

function primaryLines({ primary }: Explanation, format: Format): Lines {
  if (!primary) return [['Status', 'Nothing is kept of it yet']]
  return [
    [
      'Status',
      html`${verificationBadge(primary.verificationState)}${primary.isCorrupt ? badge('bad', 'Corrupt') : ''}`,
    ],
    ['Hashed', timeOf(primary.verifiedAt, format, 'never')],
    ['Failed attempts', primary.attempts > 0 ? format.count(primary.attempts) : null],
    ['Error', primary.failure],
  ]
}

/** Both, side by side: what the primary has recorded, and what was found here. */
function checksums({ copy, primary }: Explanation): SafeHtml {
  const here = copy?.mismatchedChecksum ?? copy?.checksum ?? null
  const there = primary?.checksum ?? null
  const verdict =
    here === null || there === null
      ? badge('off', 'Not compared')
      : here === there
        ? badge('good', 'The same')
        : badge('bad', 'Different')
  return html`<section class="card"><div class="body"><h2>Checksums ${verdict}</h2><div class="columns">
<div><h3>Recorded on the primary</h3><p class="hex">${there ?? 'none'}</p>${primary?.algorithm ? html`<p class="quiet">${primary.algorithm}</p>` : ''}</div>
<div><h3>Found on this site</h3><p class="hex">${here ?? 'none'}</p></div></div></div></section>`
}

function events({ events: logged }: Explanation, format: Format): SafeHtml {
  return html`<section class="card"><div class="body"><h2>Events</h2>${
    logged.length === 0
      ? html`<p class="quiet">The event log holds none of it any more.</p>`
      : html`<ul class="summary">${logged.map(({ id, event, at }) => html`<li class="number">#${id} ${event} <span class="quiet">${timeOf(at, format)}</span></li>`)}</ul>`
  }</div></section>`
}
