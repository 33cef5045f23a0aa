import { InvalidSiteError, type NewSite, type SiteChange } from '../../../site-fields.ts'
import type { Site } from '../../../site-table.ts'
import { addSite, changeSite, removeSite, type SiteWriting } from '../../site-writing.ts'
import type { FormBody } from '../form-body.ts'
import type { Page, Visit } from '../page.ts'
import type { Change } from '../serving.ts'
import type { AdminSources } from '../sources.ts'
import { fieldsOfForm, fieldsOfNewSite, fieldsOfSite, type SiteFields, siteFormPage } from './site-form.ts'
import { siteOf } from './site-of.ts'

/** Adding, changing and removing sites by the forms of the pages. */

export async function newSitePage({ sites }: AdminSources, visit: Visit): Promise<Page> {
  await sites.refresh()
  return siteFormPage({ fields: fieldsOfNewSite(sites.all.length === 0), site: null, problems: [] }, visit)
}

export async function editSitePage(sources: AdminSources, visit: Visit): Promise<Page> {
  const site = await siteOf(sources, visit)
  return siteFormPage({ fields: fieldsOfSite(site), site, problems: [] }, visit)
}

export const addingSite =
  (sources: AdminSources): Change =>
  (visit, form) =>
    orForm(visit, null, form, async (fields) => {
      const site = { ...changeOf(fields), primary: fields.primary === '1' }
      await addSite(writingOf(sources), fields.name, () => site as NewSite, { asker: visit.asker, details: site })
      return visit.links.to('/sites', { done: 'site-added' })
    })

export const changingSite =
  (sources: AdminSources): Change =>
  async (visit, form) => {
    const site = await siteOf(sources, visit)
    return orForm(visit, site, form, async (fields) => {
      const change = changeOf({ ...fields, primary: site.primary ? '1' : '' })
      await changeSite(writingOf(sources), site.id, () => change, { asker: visit.asker, details: change })
      return visit.links.to('/sites', { done: 'site-saved' })
    })
  }

export const removingSite =
  (sources: AdminSources): Change =>
  async (visit) => {
    const site = await siteOf(sources, visit)
    await removeSite(writingOf(sources), site.id, visit.asker)
    return visit.links.to('/sites', { done: 'site-removed' })
  }

function writingOf({ databases, sites, audit, settings }: AdminSources): SiteWriting {
  return { main: databases.main, sites, audit, encryptionKey: settings.encryptionKey }
}

async function orForm(
  visit: Visit,
  site: Site | null,
  form: FormBody,
  work: (fields: SiteFields) => Promise<string>,
): Promise<string | Page> {
  const fields = fieldsOfForm(form)
  try {
    return await work(fields)
  } catch (reason) {
    if (!(reason instanceof InvalidSiteError)) throw reason
    return siteFormPage({ fields, site, problems: reason.problems }, visit)
  }
}

/** What the form says; of a field that it does not show nothing. */
function changeOf(fields: SiteFields): SiteChange {
  const lines = (text: string) =>
    text
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '')
  const common = {
    name: fields.name,
    url: fields.url,
    internalUrl: fields.internalUrl === '' ? null : fields.internalUrl,
    redirectHosts: lines(fields.redirectHosts),
    verificationMaxCapacity: numberOf(fields.verificationMaxCapacity),
  }
  if (fields.primary === '1')
    return { ...common, minimumReverificationIntervalDays: numberOf(fields.minimumReverificationIntervalDays) }
  const [namespaceIds, shards] = [lines(fields.namespaceIds), lines(fields.shards)]
  const isSelective = fields.selectBy !== '' || namespaceIds.length > 0 || shards.length > 0
  return {
    ...common,
    enabled: fields.enabled === '1',
    filesMaxCapacity: numberOf(fields.filesMaxCapacity),
    transferBytesPerSecond: fields.transferBytesPerSecond === '' ? null : numberOf(fields.transferBytesPerSecond),
    copiesReverificationIntervalDays:
      fields.copiesReverificationIntervalDays === '' ? null : numberOf(fields.copiesReverificationIntervalDays),
    selectiveSync: isSelective ? { type: fields.selectBy, namespaceIds, shards } : null,
  }
}

/** What is no whole number becomes one that every field refuses in its own words. */
function numberOf(text: string): number {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}
