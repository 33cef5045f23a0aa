import type { Knex } from 'knex'
import type { AuditAction } from '../../audit.ts'
import { declaredType } from '../../blob/declared-type.ts'
import type { Replicable } from '../../blob/replicable.ts'
import type { BulkRun } from '../../bulk/bulk-run.ts'
import { GeoError } from '../../errors.ts'
import { recordIdOf } from '../../registry/copy-record.ts'
import { countRegistryUpTo, readRegistryPage } from '../../registry/registry-page.ts'
import { explain } from '../explain.ts'
import { failureGroups } from '../failures.ts'
import type { FoundRegistries } from '../registries/finder.ts'
import { resolveRegistries } from '../registries/resolver.ts'
import type { Answer, CallName, Input, Result } from './calls.ts'
import type { Asker, ExplainWhich, FoundPage, LossesAsk } from './details.ts'
import type { DetailsSources } from './sources.ts'

/** What a list of runs may name, so that it can be answered over HTTP: about two megabytes of ids. */
const MOST_IDS_LISTED = 50_000
const LONGEST_OPERATOR = 255

/** Answers for this site, from its own databases. */
export function localAnswer(sources: DetailsSources): Answer {
  const answers = answersOf(sources)
  return (call, input, asker) => answers[call](input, asker)
}

type Answers = { readonly [Call in CallName]: (input: Input<Call>, asker: Asker) => Promise<Result<Call>> }

function answersOf(sources: DetailsSources): Answers {
  const { databases, sites, byName, bulk, audit } = sources

  const typed = (name: string) => declaredType(byName, name)
  /** The database of the registries, which only a secondary has. */
  async function registries(): Promise<Knex> {
    await sites.ensureFresh()
    if (sites.requireMe().primary) throw new GeoError('NOT_SECONDARY', 'Registries are kept by secondaries')
    if (databases.tracking) return databases.tracking
    throw new GeoError('TRACKING_DATABASE_MISSING', 'This site has no tracking database')
  }
  async function recordOf(replicable: Replicable, which: ExplainWhich): Promise<string> {
    if ('recordId' in which) return which.recordId
    const recordId = await recordIdOf(await registries(), replicable, which.registryId)
    if (recordId !== null) return recordId
    throw new GeoError('REGISTRY_UNKNOWN', `There is no registry ${which.registryId} of ${replicable.name}`)
  }
  /** Does it to this site, and keeps who asked for it. */
  function audited<Value>(
    action: AuditAction,
    subject: string,
    details: Readonly<Record<string, unknown>>,
    { operator, ip }: Asker,
    work: () => Promise<Value>,
  ): Promise<Value> {
    const site = sites.me?.name ?? sites.siteName
    return audit.during({ operator, ip, site, action, subject, details }, work)
  }

  return Object.freeze({
    async registries({ type, filters, ...asked }) {
      const replicable = typed(type)
      await registries()
      return pageOf(resolveRegistries(sources, sites.requireMe(), replicable, filters, { mayRead: true }), asked)
    },
    async losses({ type, ...asked }) {
      const replicable = typed(type)
      return pageOf(unproven(await registries(), replicable), asked)
    },
    async explain({ type, which }) {
      return explain(sources, type, await recordOf(typed(type), which))
    },
    failures: async ({ type }) => failureGroups(sources, [typed(type)]),
    async changeNow({ action, type, registryIds }, asker) {
      const replicable = typed(type)
      const [only, ...others] = registryIds
      const recordId = only && others.length === 0 ? await recordIdOf(await registries(), replicable, only) : null
      const subject = recordId === null ? type : `${type} #${recordId}`
      const details = recordId === null ? { registryIds } : {}
      return audited(`registry.${action}`, subject, details, asker, () =>
        bulk.changeNow(action, replicable, registryIds),
      )
    },
    async startRun(request, asker) {
      const { type, filter, requestedBy, ...rest } = request
      const details = { ...rest, ...filter, ...(filter?.ids && { ids: filter.ids.length }) }
      const by = asker.operator?.slice(0, LONGEST_OPERATOR) || requestedBy
      const wanted = { ...request, ...(by !== undefined && { requestedBy: by }) }
      return audited('bulk.start', typed(type).name, details, asker, () => bulk.start(wanted))
    },
    runs: async () => withinIds(await bulk.list()),
    cancelRun: ({ id }, asker) => audited('bulk.cancel', `run #${id}`, {}, asker, () => bulk.cancel(id)),
  } satisfies Answers)
}

/** Whatever the flag of the type: what is not proven is lost. */
function unproven(tracking: Knex, replicable: Replicable): FoundRegistries {
  const selection = { proven: false } as const
  return {
    page: (window) => readRegistryPage(tracking, replicable, selection, { by: 'id', descending: false }, window),
    count: (limit) => countRegistryUpTo(tracking, replicable, selection, limit),
  }
}

async function pageOf(
  found: FoundRegistries,
  { window, countUpTo }: Pick<LossesAsk, 'window' | 'countUpTo'>,
): Promise<FoundPage> {
  const [entries, count] = await Promise.all([
    window.limit === 0 ? [] : found.page(window),
    countUpTo === null ? null : found.count(countUpTo),
  ])
  return { entries, count }
}

function withinIds(runs: readonly BulkRun[]): BulkRun[] {
  let listed = 0
  return runs.filter(({ filter }) => {
    listed += filter.ids?.length ?? 0
    return listed <= MOST_IDS_LISTED
  })
}
