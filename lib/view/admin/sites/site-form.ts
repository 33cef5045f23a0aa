import { html, type SafeHtml } from '@remix-run/html-template'
import type { SiteProblem } from '../../../site-fields.ts'
import type { Site } from '../../../site-table.ts'
import type { FormBody } from '../form-body.ts'
import type { Page, Visit } from '../page.ts'
import { checkField, field } from '../parts/field.ts'

/** What a form of a site shows: each field as text. */
export type SiteFields = Readonly<Record<FieldName, string>>

const FIELD_NAMES = [
  'name',
  'url',
  'internalUrl',
  'redirectHosts',
  'enabled',
  'primary',
  'filesMaxCapacity',
  'verificationMaxCapacity',
  'minimumReverificationIntervalDays',
  'copiesReverificationIntervalDays',
  'transferBytesPerSecond',
  'selectBy',
  'namespaceIds',
  'shards',
] as const
type FieldName = (typeof FIELD_NAMES)[number]

const NAME_LENGTH = 255

export function fieldsOfSite(site: Site): SiteFields {
  const { selectiveSync } = site
  return {
    name: site.name,
    url: site.url,
    internalUrl: site.internalUrl === site.url ? '' : site.internalUrl,
    redirectHosts: site.redirectHosts.join('\n'),
    enabled: site.enabled ? '1' : '',
    primary: site.primary ? '1' : '',
    filesMaxCapacity: String(site.filesMaxCapacity),
    verificationMaxCapacity: String(site.verificationMaxCapacity),
    minimumReverificationIntervalDays: String(site.minimumReverificationIntervalDays),
    copiesReverificationIntervalDays: String(site.copiesReverificationIntervalDays ?? ''),
    transferBytesPerSecond: String(site.transferBytesPerSecond ?? ''),
    selectBy: selectiveSync?.type ?? '',
    namespaceIds: selectiveSync?.namespaceIds.join('\n') ?? '',
    shards: selectiveSync?.shards.join('\n') ?? '',
  }
}

export function fieldsOfForm(form: FormBody): SiteFields {
  return Object.fromEntries(FIELD_NAMES.map((name) => [name, form.text(name)])) as SiteFields
}

/** The defaults of geo_nodes (GB.G.1). */
export function fieldsOfNewSite(isFirst: boolean): SiteFields {
  return {
    ...fieldsOfForm({ text: () => '' } as unknown as FormBody),
    enabled: '1',
    primary: isFirst ? '1' : '',
    filesMaxCapacity: '10',
    verificationMaxCapacity: '10',
    minimumReverificationIntervalDays: '90',
  }
}

export interface SiteForm {
  readonly fields: SiteFields
  /** Null while it is new. */
  readonly site: Site | null
  readonly problems: readonly SiteProblem[]
}

/** The form of a new site or of one that is there (GB.J.2). */
export function siteFormPage({ fields, site, problems }: SiteForm, { links }: Visit): Page {
  const title = site ? `Edit ${site.name}` : 'Add site'
  const of = (name: FieldName) => ({
    name,
    value: fields[name],
    problem: problems
      .filter(({ field: at }) => shownAt(at) === name)
      .map(({ text }) => text)
      .join('; '),
  })
  const isPrimary = fields.primary === '1'
  return {
    title,
    area: 'sites',
    live: null,
    status: problems.length > 0 ? 422 : 200,
    regions: [
      {
        id: 'site-form',
        html: html`<h1>${title}</h1>${summary(problems)}
<form class="grid" method="post" action="${links.to(site ? `/sites/${site.id}` : '/sites')}">
${field({ ...of('name'), label: 'Name', required: true, maxLength: NAME_LENGTH, hint: 'What the processes of the site have as siteName. With another name they have to start again.' })}
${field({ ...of('url'), label: 'External URL', kind: 'url', required: true, hint: 'Where people reach the site.' })}
${field({ ...of('internalUrl'), label: 'Internal URL (optional)', kind: 'url', hint: 'Where the other sites reach it, if that is elsewhere.' })}
${field({ ...of('redirectHosts'), label: 'Redirect hosts (optional)', kind: 'lines', hint: 'Where the site may send others for a file, beside its own host: an object storage. One a line, with a port where it is not the usual one.' })}
${isPrimary ? html`<input type="hidden" name="primary" value="1"><p class="notice">This is the primary site: it takes what people write.</p>` : secondaryFields(of, fields)}
<fieldset><legend>Tuning settings</legend>
${field({ ...of('verificationMaxCapacity'), label: 'Verification concurrency limit', kind: 'number', required: true, hint: 'Checksum batches at once, over all processes of the site.' })}
${isPrimary ? field({ ...of('minimumReverificationIntervalDays'), label: 'Re-verification interval', kind: 'number', required: true, least: 1, hint: 'Days after which the primary hashes its files again.' }) : secondaryTuning(of)}
</fieldset>
<p class="row"><button class="main">${site ? 'Save changes' : 'Add site'}</button> <a class="button" href="${links.sites}">Cancel</a></p></form>`,
      },
    ],
  }
}

const FIELDS_OF_SELECTION: Readonly<Partial<Record<string, FieldName>>> = {
  'selectiveSync.type': 'selectBy',
  'selectiveSync.namespaceIds': 'namespaceIds',
  'selectiveSync.shards': 'shards',
}

/** Of one of several lines, what is wrong stands below them all. */
function shownAt(field: string): string {
  const whole = field.replace(/\.\d+$/, '')
  return FIELDS_OF_SELECTION[whole] ?? whole
}

type Of = (name: FieldName) => { name: FieldName; value: string; problem: string }

function secondaryFields(of: Of, fields: SiteFields): SafeHtml {
  return html`${checkField('enabled', 'Enabled', fields.enabled === '1', 'A disabled site is paused: it fetches nothing and keeps what it has.')}
<fieldset><legend>Selective synchronization</legend>
<p class="quiet">Left empty, the site holds copies of all files. What the words mean is up to the scope that the application declares for a type.</p>
${field({ ...of('selectBy'), label: 'Select by', maxLength: NAME_LENGTH })}
${field({ ...of('namespaceIds'), label: 'Namespaces', kind: 'lines', hint: 'One a line.' })}
${field({ ...of('shards'), label: 'Storage shards', kind: 'lines', hint: 'One a line.' })}
</fieldset>`
}

function secondaryTuning(of: Of): SafeHtml {
  return html`${field({ ...of('filesMaxCapacity'), label: 'File synchronization concurrency limit', kind: 'number', required: true, hint: 'Open transfers at once, over all processes of the site.' })}
${field({ ...of('transferBytesPerSecond'), label: 'Bandwidth limit (optional)', kind: 'number', least: 1024, hint: 'Bytes a second that all processes of the site together may receive.' })}
${field({ ...of('copiesReverificationIntervalDays'), label: 'Re-verification interval of copies (optional)', kind: 'number', least: 1, hint: 'Days after which the site hashes its verified copies again. Left empty: never.' })}`
}

function summary(problems: readonly SiteProblem[]): SafeHtml {
  if (problems.length === 0) return html``
  return html`<div class="notice bad" role="alert"><p>Nothing was saved. Please correct:</p><ul>${problems.map(
    ({ field: at, text }) => html`<li>${at === 'base' ? '' : `${at}: `}${text}</li>`,
  )}</ul></div>`
}
