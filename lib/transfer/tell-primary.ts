import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import type { Site } from '../site-table.ts'
import type { PostTask } from './post.ts'
import type { Refusal } from './refusal.ts'
import type { TransferThreads } from './threads.ts'
import { signAsMe } from './token.ts'

/** GB.G.5 */
const TIMEOUT_MS = 10_000

export interface TellingContext {
  readonly sites: SiteDirectory
  readonly threads: Pick<TransferThreads, 'post'>
  readonly clock: Clock
}

/** What is told: a path below the primary's address, without a slash in front, and a body that becomes JSON. */
export interface Telling extends Pick<PostTask, 'method'> {
  readonly pathOf: (me: Site) => string
  readonly body: unknown
}

/** The primary did not take what it was told. */
export class NotTaken extends GeoError {
  /** How far the clock of this process is ahead of the primary's, where that is why. */
  readonly clockSkewMs: number | null

  constructor({ code, message, primaryNowMs }: Refusal, halfwayMs: number) {
    super(code, message)
    this.clockSkewMs = primaryNowMs === undefined ? null : halfwayMs - primaryNowMs
  }
}

/**
 * Tells the primary something about this site, signed by it, in a few bytes each way. Returns its answer, and the moment halfway
 * between question and answer by this process's clock.
 * @throws GeoError `SITE_UNKNOWN`, `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_REFUSED` or the primary's own code
 */
export async function tellPrimary(
  { sites, threads, clock }: TellingContext,
  { pathOf, body, ...how }: Telling,
): Promise<{ readonly answer: string; readonly halfwayMs: number }> {
  const me = sites.requireMe()
  const { primary } = sites
  if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
  const authorization = await signAsMe(sites, { scope: 'geo_api' }, clock)
  const sentAtMs = clock.nowMs()
  const posted = await threads.post({
    ...how,
    url: `${primary.internalUrl}${pathOf(me)}`,
    authorization,
    body: JSON.stringify(body),
    timeoutMs: TIMEOUT_MS,
  })
  const halfwayMs = (sentAtMs + clock.nowMs()) / 2
  if (posted.refusal) throw new NotTaken(posted.refusal, halfwayMs)
  return { answer: posted.answer, halfwayMs }
}
