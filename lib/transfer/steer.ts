import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import type { TransferThreads } from './threads.ts'
import { signRequest } from './token.ts'

const TIMEOUT_MS = 10_000

/**
 * A secondary has the primary enable or disable it (GB.G.2), which it may ask also while it is disabled.
 * @throws GeoError `SITE_UNKNOWN`, `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_REFUSED`, `HTTP_STATUS`
 */
export async function askToBeEnabled(
  {
    sites,
    threads,
    clock,
  }: { readonly sites: SiteDirectory; readonly threads: Pick<TransferThreads, 'post'>; readonly clock: Clock },
  enabled: boolean,
): Promise<void> {
  const me = sites.requireMe()
  const { primary } = sites
  if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
  const { refusal } = await threads.post({
    method: 'PUT',
    url: `${primary.internalUrl}api/v4/geo_nodes/${me.id}`,
    authorization: await signRequest(me, sites.secretOf(me), { scope: 'geo_api' }, clock),
    body: JSON.stringify({ enabled }),
    timeoutMs: TIMEOUT_MS,
  })
  if (refusal) throw new GeoError(refusal.code, refusal.message)
}
