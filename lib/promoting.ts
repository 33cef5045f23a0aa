import type { Assembly } from './assembly.ts'
import { GeoError } from './errors.ts'
import { notePromoted } from './event/cursor.ts'
import {
  databaseState,
  type Preflight,
  type PreflightSources,
  preflight,
  whatWasWrittenIn,
} from './failover/preflight.ts'
import { lookAtUnproven, makePrimary, promoteDatabase, retakePrimary } from './failover/promote.ts'
import { firstLosses, type LossesInPart, lastPromotion } from './failover/promotion-table.ts'
import { type KnownEpoch, latestElsewhere, type ToldSite, tellEpoch } from './failover/tell-epoch.ts'
import { requireTrackingTables } from './start-check.ts'
import type { AskingContext, Promotion } from './transfer/epoch-word.ts'

const MOST_NAMED = 3
const MOST_LOSSES = 100_000

type Parts = Pick<Assembly, 'settings' | 'databases' | 'sites' | 'repairContext' | 'audit'>

export interface PromotionRequest {
  /** Goes on where something would be lost, if what `ask` answers is the phrase that the preflight names. */
  readonly force: boolean
  /** Promotes the database too, where it is still a replica. */
  readonly promotesDatabase: boolean
  /** Told what would be lost, before anything is done. */
  readonly show: (before: Preflight) => void
  readonly ask: (phrase: string) => Promise<string>
  /** Told of the records that were looked at so far. */
  readonly looked: (records: number) => void
}

/** What a promotion did, and what was lost of what had arrived. */
export interface PromotionReport extends Omit<Promotion, 'arrivedBelow' | 'arrivedXactIds'> {
  /** Not proven before, and not found right: row by row, at most 100,000 of them. */
  readonly losses: LossesInPart['first']
  /** How many files are missing, wrong or cannot be read. */
  readonly lost: number
  /** How many files are there with nothing recorded to tell by. */
  readonly unproven: number
  /** Whether every record has been looked at. */
  readonly ended: boolean
  /** What other sites said when they were told. */
  readonly told: readonly ToldSite[]
}

/**
 * What a promotion of this secondary would lose. Asks the other sites which epoch they know of.
 * @throws GeoError `NOT_SECONDARY`, `SITE_UNKNOWN`, `STALE_EPOCH`. ConfigurationError `UNKNOWN_TABLE`
 */
export async function preflightHere(parts: Parts, looked?: (records: number) => void): Promise<Preflight> {
  const sources = await sourcesOf(parts)
  return preflight(sources, await latestElsewhere(asking(parts)), looked)
}

/**
 * Makes this secondary the primary, tells the other sites, and looks at every file that was not proven. On the primary: goes on with
 * what its promotion left to be looked at, and reports again; where it is fenced, makes it the primary of a later epoch first.
 * @throws GeoError `WOULD_LOSE`, `NOT_PROMOTED`, `PROMOTION_UNDER_WAY`, `NOT_GRANTED`, `SITE_UNKNOWN`, `STALE_EPOCH`
 */
export async function promote(parts: Parts, request: PromotionRequest): Promise<PromotionReport> {
  const { sites } = parts
  await sites.refresh()
  const { name, primary } = sites.requireMe()
  if (primary && sites.fencedBy !== null) await retake(parts, request, sites.fencedBy)
  if (primary) return report(parts, request)
  const sources = await sourcesOf(parts)
  const state = await databaseState(sources.main)
  let latest = await latestElsewhere(asking(parts))
  const before = await preflight(sources, latest, request.looked)
  request.show(before)
  if (before.later && !request.force) throw alreadyPromoted(before.later)
  if (!before.passes && !request.force) throw wouldLose(before)
  if (state.recovering && !request.promotesDatabase) {
    throw new GeoError('NOT_PROMOTED', `The database of the site "${name}" is still a replica`)
  }
  requireGrants(before)
  const { sealed, phrase } = before
  if (phrase !== null) {
    const typed = await request.ask(phrase)
    // Typing takes its time, in which more may have arrived, or be missing, or another site been promoted.
    latest = await latestElsewhere(asking(parts))
    const now = await preflight(sources, latest, request.looked)
    if (typed !== now.phrase && (typed !== phrase || losesMore(now, before))) throw wouldLose(now)
  }
  // Somebody else may have promoted it meanwhile.
  if ((await databaseState(sources.main)).recovering) await promoteDatabase(sources.main)
  const horizon = state.recovering ? state.horizon : '0'
  await makePrimary(sources, { horizon, sealed, heardEpoch: latest?.epoch ?? 0 })
  // Now that there is a database of this site's own to note it in.
  await note(parts, phrase)
  return report(parts, request)
}

/** A fenced primary becomes the primary again, in the place of whoever was promoted: that needs `force`, and a phrase, in any case. */
async function retake(parts: Parts, request: PromotionRequest, fencedBy: number): Promise<void> {
  const { sites, databases } = parts
  if (!request.force) sites.requireUnfenced()
  const latest = async () => Math.max(fencedBy, (await latestElsewhere(asking(parts)))?.epoch ?? 0)
  const loss = (epoch: number) => `lose ${whatWasWrittenIn(epoch)}`
  const phrase = loss(await latest())
  const typed = await request.ask(phrase)
  // Typing takes its time, in which another site may have been promoted.
  const now = await latest()
  if (typed !== phrase || phrase !== loss(now))
    throw new GeoError('WOULD_LOSE', `To make "${sites.siteName}" the primary again would ${loss(now)}`)
  await retakePrimary(databases.main, sites, now)
  await sites.refresh()
  await note(parts, phrase)
}

async function note({ sites, settings, audit }: Parts, phrase: string | null): Promise<void> {
  const { siteName: site, epoch } = sites
  const asked = { operator: null, ip: null, site, subject: site, details: { phrase } } as const
  await audit.during({ ...asked, action: 'site.promote' }, async () =>
    settings.logger.warn({ site, epoch }, 'This site has become the primary'),
  )
}

/**
 * Before anything is done: a promotion of the database cannot be taken back, and a site whose role may not write there would stand
 * between the two. On a replica nothing can be granted; what is granted on the primary reaches it.
 */
function requireGrants({ missingGrants }: Preflight): void {
  if (missingGrants.length === 0) return
  const more = missingGrants.length - MOST_NAMED
  const lacks = `${missingGrants.slice(0, MOST_NAMED).join('; ')}${more > 0 ? `; and ${more} more` : ''}`
  throw new GeoError('NOT_GRANTED', `The role of this process may not do what a promotion does. It lacks: ${lacks}`)
}

/** Than a person has agreed to. */
function losesMore(now: Preflight, agreed: Preflight): boolean {
  const unproven = ({ types }: Preflight) => types.reduce((sum, type) => sum + type.unproven, 0)
  const epoch = ({ later }: Preflight) => later?.epoch ?? 0
  return unproven(now) > unproven(agreed) || (agreed.sealed && !now.sealed) || epoch(now) > epoch(agreed)
}

function alreadyPromoted({ site, epoch }: KnownEpoch): GeoError {
  return new GeoError('STALE_EPOCH', `Another site has been promoted: "${site}" knows of epoch ${epoch}`)
}

function asking({ settings: { clock }, repairContext }: Parts): AskingContext {
  return { ...repairContext, clock }
}

function wouldLose({ site, phrase }: Preflight): GeoError {
  return new GeoError('WOULD_LOSE', `A promotion of "${site}" would ${phrase}`)
}

async function sourcesOf({ settings, databases, sites }: Parts): Promise<PreflightSources> {
  await sites.refresh()
  const { primary, name } = sites.requireMe()
  if (primary) throw new GeoError('NOT_SECONDARY', `The site "${name}" is the primary already`)
  const { main, tracking } = databases
  if (!tracking) throw new GeoError('TRACKING_DATABASE_MISSING', `"${name}" is a secondary without trackingDb`)
  await requireTrackingTables(tracking, settings.replicables)
  return { main, tracking, sites, replicables: settings.replicables, clock: settings.clock }
}

/** Of the last promotion, which is this site's own. */
async function report(parts: Parts, { looked }: PromotionRequest): Promise<PromotionReport> {
  const { settings, databases, sites, repairContext } = parts
  const { main, tracking } = databases
  sites.requireUnfenced()
  const begun = await lastPromotion(main)
  if (!begun) throw new GeoError('NOT_SECONDARY', `The site "${sites.siteName}" is the primary, and never was promoted`)
  const told = await tellEpoch(asking(parts))
  // One of them may have been promoted at the same time.
  sites.requireUnfenced()
  if (tracking) await notePromoted(tracking, sites.siteName)
  if (!begun.ended && tracking) {
    const { replicables } = settings
    await lookAtUnproven({ main, tracking, sites, replicables, pool: repairContext.pool }, begun.epoch, looked)
  }
  const { arrivedBelow: _, arrivedXactIds: __, ended: ___, ...promotion } = begun
  const ended = begun.ended || tracking !== null
  const { first: losses, lost, unproven } = await firstLosses(main, begun.epoch, { limit: MOST_LOSSES })
  return { ...promotion, losses, lost, unproven, ended, told }
}
