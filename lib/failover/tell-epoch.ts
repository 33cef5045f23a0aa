import { GeoError, messageOf } from '../errors.ts'
import { type AskingContext, askForWord, type EpochWord, type Promotion } from '../transfer/epoch-word.ts'

/** What another site said when it was told of this one's epoch. */
export interface ToldSite {
  readonly site: string
  /** The epoch it knows of now; null where it did not answer. */
  readonly epoch: number | null
  /** Why it did not. */
  readonly problem: { readonly code: string; readonly message: string } | null
}

/** A site that was asked, with its word or why there is none. */
interface AskedSite {
  readonly site: string
  readonly word: EpochWord | null
  readonly problem: ToldSite['problem']
}

/**
 * Tells all other sites of this one's epoch, and hears of theirs: a former primary that is there again is fenced by it, whichever of
 * the two asks first.
 */
export async function tellEpoch(context: AskingContext): Promise<ToldSite[]> {
  const asked = await askAll(context)
  return asked.map(({ site, word, problem }) => ({ site, epoch: word?.epoch ?? null, problem }))
}

/** An epoch, and which site knows of it. */
export interface KnownEpoch {
  readonly site: string
  readonly epoch: number
}

/** The latest epoch that any other site that answers knows of, and which site that is; null where none answers. */
export async function latestElsewhere(context: AskingContext): Promise<KnownEpoch | null> {
  const known = (await tellEpoch(context)).flatMap(({ site, epoch }) => (epoch === null ? [] : [{ site, epoch }]))
  return known.reduce<KnownEpoch | null>((latest, each) => (each.epoch > (latest?.epoch ?? -1) ? each : latest), null)
}

/**
 * Whether this site may still take itself for the primary: it asks the others, and one of them at least answers, where there are any,
 * and none knows of a later epoch.
 */
export async function isUnchallenged(context: AskingContext): Promise<boolean> {
  const told = await tellEpoch(context)
  return context.sites.fencedBy === null && (told.length === 0 || told.some(({ problem }) => problem === null))
}

/**
 * The first promotion that this site has not heard of by its database, as the other sites have it: each that any of them tells of,
 * the one of whoever knows of the latest epoch first, for one may say what is not so. None where all answer and none knows of any.
 * Having heard of them, this site is fenced.
 * @throws GeoError `SITE_UNREACHABLE` where none is known of, and there is a site that does not answer, which may have been promoted
 */
export async function firstLaterPromotions(context: AskingContext): Promise<readonly Promotion[]> {
  const asked = await askAll(context, { withPromotions: true })
  const told = asked.map(({ word }) => word?.promotions ?? []).sort((one, other) => lastOf(other) - lastOf(one))
  const firsts = new Map(told.flatMap(([first]) => (first ? [[JSON.stringify(first), first] as const] : [])))
  if (firsts.size > 0) return [...firsts.values()]
  const silent = asked.filter(({ word }) => word === null).map(({ site, problem }) => `${site}: ${problem?.message}`)
  if (silent.length > 0 || asked.length === 0) {
    const who = silent.join('; ') || 'there is no other site'
    throw new GeoError('SITE_UNREACHABLE', `No site that answers tells of a promotion. Those that do not: ${who}`)
  }
  return []
}

function lastOf(promotions: readonly Promotion[]): number {
  return promotions.at(-1)?.epoch ?? 0
}

function askAll(context: AskingContext, wanted?: { withPromotions: boolean }): Promise<AskedSite[]> {
  const { sites } = context
  const others = sites.all.filter((site) => site !== sites.me)
  return Promise.all(
    others.map(async (site) => {
      try {
        return { site: site.name, word: await askForWord(context, site, wanted), problem: null }
      } catch (reason) {
        const code = reason instanceof GeoError ? reason.code : 'INTERNAL'
        return { site: site.name, word: null, problem: { code, message: messageOf(reason) } }
      }
    }),
  )
}
