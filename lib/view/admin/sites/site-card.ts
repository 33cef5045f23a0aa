import { html, type SafeHtml } from '@remix-run/html-template'
import type { SampledMinute } from '../../../status-sample-table.ts'
import type { Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import { definitions } from '../parts/definitions.ts'
import { timeOf } from '../parts/time.ts'
import type { AdminSources } from '../sources.ts'
import { primaryParts } from './primary-parts.ts'
import { secondaryParts } from './secondary-parts.ts'
import { siteCharts } from './site-charts.ts'
import { HEALTH_TITLES, HEALTH_TONES } from './site-health.ts'
import type { SiteView } from './site-view.ts'

interface Among {
  readonly minutes: readonly SampledMinute[]
  readonly primary: SiteView | undefined
  /** Whether there is no other. */
  readonly only: boolean
}

/** One site: what it is, how it is, how far it is. */
export function siteCard(sources: AdminSources, visit: Visit, view: SiteView, among: Among): SafeHtml {
  const { site, status, health, isHere } = view
  const { format } = visit
  const parts = site.primary
    ? primaryParts(view, sources.settings.replicables, format)
    : secondaryParts(view, sources.settings.replicables, visit)
  const trouble = health === 'unhealthy' || health === 'offline' ? status?.health : null
  return html`<details class="card" open><summary><h3>${site.name}</h3> ${badge(HEALTH_TONES[health], HEALTH_TITLES[health])}
${isHere ? html`<span class="badge">This site</span>` : ''}
<span class="quiet">Updated ${timeOf(status?.updated_at, format, 'never')}</span></summary>
<div class="body">
${trouble ? html`<p class="notice bad">${trouble}</p>` : ''}
${actions(sources, visit, view, among)}
<div class="columns"><section>${core(view, among.primary, visit)}</section>${parts.summary}</div>
${siteCharts({ name: site.name, primary: site.primary, minutes: among.minutes }, visit.nowMs, format)}
${parts.details}
</div></details>`
}

function actions({ sites }: AdminSources, { links, mayChange }: Visit, { site }: SiteView, { only }: Among): SafeHtml {
  if (!mayChange || sites.role === 'secondary') return html``
  const removable = !site.primary || only
  return html`<p class="row"><a class="button small" href="${links.site(site.id, 'edit')}">Edit <span class="hidden-label">${site.name}</span></a>
${
  removable
    ? html`<a class="button small danger" href="${links.site(site.id, 'remove')}">Remove <span class="hidden-label">${site.name}</span></a>`
    : html`<span class="quiet">The primary can be removed once it is the only site.</span>`
}</p>`
}

function core({ site, status }: SiteView, primary: SiteView | undefined, { format }: Visit): SafeHtml {
  return html`<h4>Site</h4>${definitions([
    ['External URL', html`<a href="${site.url}">${site.url}</a>`],
    ['Internal URL', site.internalUrl === site.url ? null : site.internalUrl],
    ['Version', versionText(status, primary?.status)],
    ['Checksum threads', site.primary ? `${format.count(site.verificationMaxCapacity)} batches at once` : null],
    [
      'Limits',
      site.primary
        ? null
        : `${format.count(site.filesMaxCapacity)} transfers and ${format.count(site.verificationMaxCapacity)} checksum batches at once${
            site.transferBytesPerSecond === null ? '' : `, ${format.bytes(site.transferBytesPerSecond)} a second`
          }`,
    ],
    [
      'Hashed again',
      site.primary
        ? `every ${format.duration(site.minimumReverificationIntervalDays * 86_400)}`
        : site.copiesReverificationIntervalDays === null
          ? 'never'
          : `every ${format.duration(site.copiesReverificationIntervalDays * 86_400)}`,
    ],
  ])}`
}

function versionText(status: SiteView['status'], primary: SiteView['status']): SafeHtml {
  if (!status?.version) return html`Unknown`
  const text = status.revision === '' ? status.version : `${status.version} (${status.revision})`
  const differs =
    primary !== undefined &&
    primary.version !== '' &&
    (primary.version !== status.version || primary.revision !== status.revision)
  return differs ? html`<span class="bad-text">${text}, another than the primary's</span>` : html`${text}`
}
