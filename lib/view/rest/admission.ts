import type { Request } from 'express'
import type { Clock } from '../../clock.ts'
import { GeoError } from '../../errors.ts'
import type { SiteDirectory } from '../../site.ts'
import type { Site } from '../../site-table.ts'
import { authenticate, isSigned } from '../../transfer/token.ts'
import type { IsAllowed } from '../authorize.ts'
import { badRequest, forbidden } from './rest-error.ts'
import type { RestRoute } from './routes.ts'

export interface AdmissionContext {
  readonly sites: SiteDirectory
  readonly clock: Clock
  readonly isAllowed: IsAllowed
}

/**
 * Lets in whom the host lets in, and a site that signs a change of itself, which a disabled one may too (GB.G.2). Returns that
 * site, or null. Nothing has been read of the body yet.
 */
export async function admit(
  { sites, clock, isAllowed }: AdmissionContext,
  route: RestRoute,
  request: Request,
): Promise<Site | null> {
  const authorization = request.get('authorization')
  if (!isSigned(authorization)) {
    if (await isAllowed(request, route.ability)) return null
    throw forbidden()
  }
  if (route.id !== 'update') throw badRequest()
  await sites.ensureFresh()
  const { site, scope } = await authenticate(authorization, sites, clock, { disabledToo: true })
  if (!('scope' in scope)) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  if (site.id !== request.params['id']) throw forbidden()
  return site
}
