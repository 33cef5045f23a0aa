import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import { STATUS_PATH, type StatusReport } from './status.ts'
import type { TransferThreads } from './threads.ts'
import { signRequest } from './token.ts'

/** GB.G.5 */
const TIMEOUT_MS = 10_000

const answerShape = z.looseObject({ now_ms: z.number() })

/** What a report that was taken tells of the way to the primary. */
export interface Reported {
  /** How far the clock of this process is ahead of the primary's, give or take half of the round trip; null where it did not say. */
  readonly clockSkewMs: number | null
}

/**
 * Tells the primary how far this secondary is.
 * @throws GeoError `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_REFUSED` or the primary's own code
 */
export async function reportStatus(
  {
    sites,
    threads,
    clock,
  }: { readonly sites: SiteDirectory; readonly threads: Pick<TransferThreads, 'post'>; readonly clock: Clock },
  report: StatusReport,
): Promise<Reported> {
  const me = sites.requireMe()
  const { primary } = sites
  if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
  const authorization = await signRequest(me, sites.secretOf(me), { scope: 'geo_api' }, clock)
  const sentAtMs = clock.nowMs()
  const posted = await threads.post({
    url: `${primary.internalUrl}${STATUS_PATH.slice(1)}`,
    authorization,
    body: JSON.stringify(report),
    timeoutMs: TIMEOUT_MS,
  })
  if (posted.refusal) throw new GeoError(posted.refusal.code, posted.refusal.message)
  const halfwayMs = (sentAtMs + clock.nowMs()) / 2
  return { clockSkewMs: skewOf(posted.answer, halfwayMs) }
}

function skewOf(answer: string, halfwayMs: number): number | null {
  try {
    return halfwayMs - answerShape.parse(JSON.parse(answer)).now_ms
  } catch {
    // An older primary answers without its time.
    return null
  }
}
