import { html, type SafeHtml } from '@remix-run/html-template'
import { SYNC } from '../../../registry/sync-state.ts'
import { VERIFICATION } from '../../../verification/verification-state.ts'
import { REGISTRY_SORTS } from '../../registries/finder.ts'
import type { Visit } from '../page.ts'
import { titleOf } from '../sites/site-view.ts'
import type { AdminSources } from '../sources.ts'
import type { ListQuery } from './list-query.ts'
import type { Place } from './place.ts'
import { SYNC_TITLES, VERIFICATION_TITLES } from './states.ts'

const SORT_TITLES: Readonly<Record<string, string>> = {
  ID_ASC: 'Registry ID, first ones first',
  ID_DESC: 'Registry ID, last ones first',
  LAST_SYNCED_AT_ASC: 'Last synced at, longest ago first',
  LAST_SYNCED_AT_DESC: 'Last synced at, newest first',
  VERIFIED_AT_ASC: 'Last verified at, longest ago first',
  VERIFIED_AT_DESC: 'Last verified at, newest first',
}

type Option = readonly [value: string, title: string]

export function listFilters({ site, replicable }: Place, query: ListQuery, { links }: Visit): SafeHtml {
  const states = <State extends string>(
    titles: Readonly<Record<State, string>>,
    values: readonly State[],
  ): Option[] => [['', 'Any'], ...values.map((value) => [value, titles[value]] as const)]
  return html`<form class="filters" method="get" action="${links.replication(site.id, replicable.names.plural)}" role="search" aria-label="Registries">
<div class="field"><label for="ids">Ids</label><input id="ids" name="ids" type="search" value="${query.ids}" placeholder="12 34 or ${replicable.names.className}/56"></div>
${select('replication_status', 'Replication status', states(SYNC_TITLES, SYNC.states), query.replicationStatus)}
${select('verification_status', 'Verification status', states(VERIFICATION_TITLES, VERIFICATION.states), query.verificationStatus)}
${select(
  'sort',
  'Sort by',
  REGISTRY_SORTS.map((sort) => [sort, SORT_TITLES[sort] ?? sort] as const),
  query.sort,
)}
<button>Filter</button></form>`
}

/** Another site or another type. */
export function placeChooser(
  { sites, settings }: AdminSources,
  { site, replicable }: Place,
  { links }: Visit,
): SafeHtml {
  // On a secondary only its own registries can be seen.
  const secondaries = sites.role === 'primary' ? sites.all.filter(({ primary }) => !primary) : [site]
  const siteOptions = secondaries.map(({ id, name }) => [id, name] as const)
  const typeOptions = settings.replicables.map((each) => [each.names.plural, titleOf(each)] as const)
  return html`<form class="filters narrow" method="get" action="${links.to('/replication')}" aria-label="What is shown">
${siteOptions.length > 1 ? select('site', 'Site', siteOptions, site.id) : html`<input type="hidden" name="site" value="${site.id}">`}
${select('type', 'Type', typeOptions, replicable.names.plural)}
<button>Show</button></form>`
}

function select(name: string, label: string, options: readonly Option[], chosen: string): SafeHtml {
  return html`<div class="field"><label for="${name}">${label}</label><select id="${name}" name="${name}">${options.map(
    ([value, title]) => html`<option value="${value}" ${value === chosen ? html`selected` : ''}>${title}</option>`,
  )}</select></div>`
}
