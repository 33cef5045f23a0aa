import { html, type SafeHtml } from '@remix-run/html-template'
import type { RegistryEntry } from '../../../registry/registry-page.ts'
import type { Visit } from '../page.ts'
import { timeOf } from '../parts/time.ts'
import { addressOf, type ListQuery } from './list-query.ts'
import type { Place } from './place.ts'
import { syncBadge, verificationBadge } from './states.ts'

/** The rows of a page with what can be done to each, to those that are selected, and why they failed. */
export function listTable(place: Place, entries: readonly RegistryEntry[], query: ListQuery, visit: Visit): SafeHtml {
  const { site, replicable } = place
  const { links, mayChange } = visit
  const { plural } = replicable.names
  const table = html`<div class="table-scroll" tabindex="0" role="group" aria-label="Registries"><table class="cards"><thead><tr>
${mayChange ? html`<th scope="col" class="choose"><input type="checkbox" data-all="id" hidden aria-label="Select all on this page"><span class="hidden-label">Select</span></th>` : ''}
<th scope="col">Registry</th><th scope="col">Record</th><th scope="col">Replication</th><th scope="col">Verification</th><th scope="col">Last failure</th>${mayChange ? html`<th scope="col">Actions</th>` : ''}</tr></thead>
<tbody>${entries.map((entry) => row(place, entry, query, visit))}</tbody></table></div>`
  if (!mayChange) return table
  return html`<form class="table-form" method="post" action="${links.below(site.id, plural, 'change', addressOf(query))}">
${table}<p class="row"><button name="selected" value="resync">Resync selected</button><button name="selected" value="reverify">Reverify selected</button></p></form>`
}

function row(
  { site, replicable }: Place,
  entry: RegistryEntry,
  query: ListQuery,
  { links, format, mayChange }: Visit,
): SafeHtml {
  const { names } = replicable
  const { registryId, recordId, state, verificationState } = entry
  const registry = `${names.registryClass}/${registryId}`
  const canReverify = state === 'synced'
  return html`<tr id="row-${registryId}" ${isStill(entry, query) ? '' : html`class="gone"`}>
${mayChange ? html`<td class="choose" data-label="Select"><input type="checkbox" name="id" value="${registryId}" aria-label="Select ${registry}"></td>` : ''}
<th scope="row" data-label="Registry"><a href="${links.below(site.id, names.plural, registryId)}">${registry}</a></th>
<td class="wrap" data-label="Record">${names.className}/${recordId}</td>
<td data-label="Replication"><div><p>${syncBadge(state)}</p><p class="quiet">${state === 'synced' ? 'Synced' : 'Last begun'} ${timeOf(entry.lastSyncedAt, format, 'never')}</p></div></td>
<td data-label="Verification"><div><p>${verificationBadge(verificationState)}</p><p class="quiet">Verified ${timeOf(entry.verifiedAt, format, 'never')}</p></div></td>
<td class="wrap" data-label="Last failure">${failures(entry)}</td>
${
  mayChange
    ? html`<td data-label="Actions"><div class="row"><button class="small" name="resync" value="${registryId}" aria-label="Resync ${registry}">Resync</button>${
        canReverify
          ? html`<button class="small" name="reverify" value="${registryId}" aria-label="Reverify ${registry}">Reverify</button>`
          : ''
      }</div></td>`
    : ''
}</tr>`
}

function failures({ lastSyncFailure, verificationFailure, errorCode }: RegistryEntry): SafeHtml {
  if (lastSyncFailure === null && verificationFailure === null) return html`<span class="quiet">None</span>`
  return html`<div>${errorCode === null ? '' : html`<p><code class="whole">${errorCode}</code></p>`}
${lastSyncFailure === null ? '' : html`<p><span class="quiet">Replication failure:</span> ${lastSyncFailure}</p>`}
${verificationFailure === null ? '' : html`<p><span class="quiet">Verification failure:</span> ${verificationFailure}</p>`}</div>`
}

/** Whether a row that was shown would be found again. */
function isStill(
  { state, verificationState }: RegistryEntry,
  { replicationStatus, verificationStatus }: ListQuery,
): boolean {
  if (replicationStatus !== '' && state !== replicationStatus) return false
  return verificationStatus === '' || (state === 'synced' && verificationState === verificationStatus)
}
