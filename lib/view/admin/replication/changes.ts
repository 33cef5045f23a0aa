import type { BulkAction, BulkFilter } from '../../../bulk/request.ts'
import { GeoError } from '../../../errors.ts'
import type { FormBody } from '../form-body.ts'
import type { Notice } from '../notices.ts'
import type { Visit } from '../page.ts'
import type { Change } from '../serving.ts'
import type { AdminSources } from '../sources.ts'
import { addressOf, listQueryOf } from './list-query.ts'
import { type Place, placeOf } from './place.ts'

/** What is done to registries by the buttons of the pages: kept in the audit log of the site that does it, and of the one that was asked. */

/** To one or to those that are selected, at once. */
export const updatingRegistries =
  (sources: AdminSources): Change =>
  async (visit, form) => {
    const place = await placeOf(sources, visit)
    const { action, registryIds } = chosenOf(form)
    if (registryIds.length === 0) return backTo(place, visit, 'nothing-chosen', null)
    const { name } = place.replicable
    const subject =
      registryIds.length === 1 ? `${name} registry #${registryIds[0]}` : `${registryIds.length} registries of ${name}`
    const details = { registryIds: registryIds.slice(0, 100) }
    const busy = await audited(sources, visit, place, `registry.${action}`, subject, details, () =>
      place.details.changeNow({ action, type: name, registryIds }),
    )
    if (busy.length > 0) return backTo(place, visit, 'some-busy', busy.length)
    return backTo(place, visit, `${action}-scheduled`, registryIds.length)
  }

/** To all, or to all failed ones, by a bulk run. */
export const startingRun =
  (sources: AdminSources): Change =>
  async (visit, form) => {
    const place = await placeOf(sources, visit)
    const action = actionOf(form.text('action'))
    const failed = form.text('only') === 'failed'
    const filter: BulkFilter = !failed
      ? {}
      : action === 'resync'
        ? { syncState: 'failed' }
        : { verificationState: 'failed' }
    return start(sources, visit, place, [{ action, filter }])
  }

/** To all that failed in one way. */
export const retryingFailures =
  (sources: AdminSources): Change =>
  async (visit, form) => {
    const place = await placeOf(sources, visit)
    const code = form.text('code')
    const groups = await place.details.failures(place.replicable.name)
    const retries = groups.filter((group) => group.code === code).flatMap((group) => group.retries)
    if (retries.length === 0) throw new GeoError('INVALID_REQUEST', `Nothing that failed with ${code} can be retried`)
    return start(
      sources,
      visit,
      place,
      retries.map(({ action, filter }) => ({ action, filter: filter ?? {} })),
    )
  }

export const cancellingRun =
  (sources: AdminSources): Change =>
  async (visit) => {
    const place = await placeOf(sources, visit)
    const id = String(visit.request.params['run'])
    await audited(sources, visit, place, 'bulk.cancel', `run #${id}`, {}, () => place.details.cancelRun(id))
    return backTo(place, visit, 'run-cancelled', null)
  }

async function start(
  sources: AdminSources,
  visit: Visit,
  place: Place,
  runs: readonly { readonly action: BulkAction; readonly filter: BulkFilter }[],
): Promise<string> {
  const type = place.replicable.name
  try {
    for (const run of runs) {
      await audited(sources, visit, place, 'bulk.start', type, run as Readonly<Record<string, unknown>>, () =>
        place.details.startRun({ ...run, type }),
      )
    }
  } catch (reason) {
    if ((reason as Partial<GeoError>).code !== 'BULK_RUN_ACTIVE') throw reason
    return backTo(place, visit, 'run-active', null)
  }
  return backTo(place, visit, 'run-started', null)
}

function audited<Result>(
  { audit, sites }: AdminSources,
  { asker }: Visit,
  { site }: Place,
  action: Parameters<AdminSources['audit']['during']>[0]['action'],
  subject: string,
  details: Readonly<Record<string, unknown>>,
  work: () => Promise<Result>,
): Promise<Result> {
  // What is done here is kept by whoever does it.
  if (site.id === sites.me?.id) return work()
  const { operator, ip } = asker
  return audit.during({ operator, ip, site: site.name, action, subject, details }, work)
}

function chosenOf(form: FormBody): { action: BulkAction; registryIds: string[] } {
  const one = (['resync', 'reverify'] as const).find((action) => form.has(action))
  const ids = one ? [form.text(one)] : form.all('id')
  return { action: one ?? actionOf(form.text('selected')), registryIds: ids.filter((id) => /^\d{1,18}$/.test(id)) }
}

/** @throws GeoError `INVALID_REQUEST` */
function actionOf(text: string): BulkAction {
  if (text === 'resync' || text === 'reverify') return text
  throw new GeoError('INVALID_REQUEST', 'What is to be done was not said')
}

/** The list as it was, or the page of the one registry that the button was on. */
function backTo({ site, replicable }: Place, { request, links }: Visit, done: Notice, count: number | null): string {
  const { plural } = replicable.names
  const notice = { done, n: count === null ? '' : String(count) }
  const { registry } = request.query
  if (typeof registry === 'string' && /^\d{1,18}$/.test(registry)) return links.below(site.id, plural, registry, notice)
  return links.replication(site.id, plural, { ...addressOf(listQueryOf(request.query)), ...notice })
}
