import type { Knex } from 'knex'
import type { Replicable } from '../../blob/replicable.ts'
import { bounded } from '../../databases.ts'
import { loadNodeStatuses, type NodeStatus } from '../../node-status-table.ts'
import type { SiteDirectory } from '../../site.ts'
import { loadOwnStatus, type OwnStatus } from '../../site-status-table.ts'
import type { Site } from '../../site-table.ts'
import { loadMinutes, loadSamples, type Sample, type SampledMinute } from '../../status-sample-table.ts'
import { toldSeconds } from '../../told-status.ts'
import type { SiteStatus } from './fields.ts'
import { presentStatus, type StoredStatus } from './present.ts'

export interface StatusSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly sites: SiteDirectory
  readonly settings: { readonly replicables: readonly Replicable[] }
}

/** The status of this site, as it was gathered last. */
export async function statusOf(sources: StatusSources): Promise<SiteStatus> {
  await sources.sites.ensureFresh()
  const me = sources.sites.requireMe()
  const statuses = await statusesOf(sources, [me])
  const status = statuses.get(me.id)
  if (!status) throw new Error(`There is no status of ${me.name}`)
  return status
}

/** What a secondary has stored of itself; null on the primary, and before there is anything. */
export async function ownStatusOf({ databases, sites }: StatusSources): Promise<OwnStatus | null> {
  const { tracking } = databases
  return sites.role === 'secondary' && tracking ? loadOwnStatus(tracking) : null
}

/**
 * The statuses of the given sites by id. Of this site it is what the site itself has stored (`own`, where the caller has read
 * it); of the others what they told the primary, on a secondary as the replica has it.
 */
export async function statusesOf(
  sources: StatusSources,
  wanted: readonly Site[],
  { wording = 'node', own: given }: { wording?: 'node' | 'site'; own?: OwnStatus | null } = {},
): Promise<Map<string, SiteStatus>> {
  const { databases, sites, settings } = sources
  const stored = await bounded(databases.main, (trx) => loadNodeStatuses(trx))
  const { me, primary } = sites
  const own = given === undefined ? await ownStatusOf(sources) : given
  const storedOf = (site: Site): StoredStatus => {
    const told = fromPrimary(stored.get(site.id))
    if (!own || site.id !== me?.id) return told
    const { status, gatheredAt, gatheredAgeSeconds, clockSkewMs, reportedAgeSeconds } = own
    return {
      status,
      updatedAt: gatheredAt,
      updatedAgeSeconds: gatheredAgeSeconds,
      lastReportAt: told.lastReportAt,
      lastReportAgeSeconds: reportedAgeSeconds ?? gatheredAgeSeconds,
      clockSkewMs,
    }
  }
  const apiUrl = `${me?.url ?? '/'}api/v4/`
  const primaryStatus = (primary && stored.get(primary.id)?.status) ?? null
  return new Map(
    wanted.map((site) => [
      site.id,
      presentStatus({
        site,
        stored: storedOf(site),
        primaryStatus,
        replicables: settings.replicables,
        apiUrl,
        wording,
      }),
    ]),
  )
}

/**
 * What the statuses of a site said of its types in the last so many minutes, the oldest first. A secondary has its own samples; of
 * the others it has those that the primary stored, as the replica has them.
 */
export async function samplesOf(
  { databases, sites }: StatusSources,
  site: Pick<Site, 'id'>,
  { minutes }: { minutes: number },
): Promise<Sample[]> {
  const { main, tracking } = databases
  const isOwn = sites.role === 'secondary' && site.id === sites.me?.id
  return bounded(isOwn && tracking ? tracking : main, (trx) => loadSamples(trx, { siteId: site.id, minutes }))
}

/** The same of several sites, over all types; of a site that nothing is known of nothing. */
export async function minutesOf(
  { databases, sites }: StatusSources,
  wanted: readonly Pick<Site, 'id'>[],
  { minutes }: { minutes: number },
): Promise<ReadonlyMap<string, readonly SampledMinute[]>> {
  const { main, tracking } = databases
  const isOwn = ({ id }: Pick<Site, 'id'>) => sites.role === 'secondary' && id === sites.me?.id
  const load = async (db: Knex | null, some: readonly Pick<Site, 'id'>[]) =>
    db && some.length > 0 ? bounded(db, (trx) => loadMinutes(trx, { siteIds: some.map(({ id }) => id), minutes })) : []
  const loaded = await Promise.all([
    load(tracking, wanted.filter(isOwn)),
    load(
      main,
      wanted.filter((site) => !isOwn(site)),
    ),
  ])
  return Map.groupBy(loaded.flat(), ({ siteId }) => siteId)
}

function fromPrimary(node: NodeStatus | undefined): StoredStatus {
  const skew = toldSeconds.parse(node?.status['clock_skew_seconds'])
  return {
    status: node?.status ?? {},
    updatedAt: node?.updatedAt ?? null,
    updatedAgeSeconds: node?.updatedAgeSeconds ?? null,
    lastReportAt: node?.lastReportAt ?? null,
    lastReportAgeSeconds: node?.lastReportAgeSeconds ?? null,
    clockSkewMs: skew === null ? null : skew * 1000,
  }
}
