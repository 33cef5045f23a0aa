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

/** The latest epoch that any other site that answers knows of; 0 where there is none. */
export async function latestElsewhere(context: AskingContext): Promise<number> {
  const asked = await askAll(context)
  return asked.reduce((latest, { word }) => Math.max(latest, word?.epoch ?? 0), 0)
}

/**
 * The promotions that this site has not heard of by its database, the first of them first, as the other sites have it; none where
 * all answer and none knows of any. Having heard of them, this site is fenced.
 * @throws GeoError `SITE_UNREACHABLE` where none is known of, and there is a site that does not answer, which may have been promoted
 */
export async function laterPromotions(context: AskingContext): Promise<readonly Promotion[]> {
  const asked = await askAll(context)
  const told = asked.map(({ word }) => word?.promotions ?? [])
  const latest = told.reduce((best, promotions) => (lastOf(promotions) > lastOf(best) ? promotions : best), [])
  if (latest.length > 0) return latest
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

function askAll(context: AskingContext): Promise<AskedSite[]> {
  const { sites } = context
  const others = sites.all.filter((site) => site !== sites.me)
  return Promise.all(
    others.map(async (site) => {
      try {
        return { site: site.name, word: await askForWord(context, site), problem: null }
      } catch (reason) {
        const code = reason instanceof GeoError ? reason.code : 'INTERNAL'
        return { site: site.name, word: null, problem: { code, message: messageOf(reason) } }
      }
    }),
  )
}
