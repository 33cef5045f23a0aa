import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import { STATUS_PATH, type StatusReport } from './status.ts'
import type { TransferThreads } from './threads.ts'
import { signRequest } from './token.ts'

/** GB.G.5 */
const TIMEOUT_MS = 10_000

/**
 * Tells the primary how far this secondary is.
 * @throws GeoError `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_REFUSED` or the primary's own code
 */
export async function reportStatus(
  {
    sites,
    threads,
    clock,
  }: { readonly sites: SiteDirectory; readonly threads: TransferThreads; readonly clock: Clock },
  report: StatusReport,
): Promise<void> {
  const me = sites.requireMe()
  const { primary } = sites
  if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
  const refusal = await threads.post({
    url: `${primary.internalUrl}${STATUS_PATH.slice(1)}`,
    authorization: await signRequest(me, sites.secretOf(me), { scope: 'geo_api' }, clock),
    body: JSON.stringify(report),
    timeoutMs: TIMEOUT_MS,
  })
  if (refusal) throw new GeoError(refusal.code, refusal.message)
}
