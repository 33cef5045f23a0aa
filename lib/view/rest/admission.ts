import type { Request } from 'express'
import { GeoError } from '../../errors.ts'
import type { Site } from '../../site-table.ts'
import { authenticate, type DoorContext, isSigned } from '../../transfer/token.ts'
import type { IsAllowed } from '../authorize.ts'
import { isSameOrigin } from '../same-origin.ts'
import { badRequest, forbidden } from './rest-error.ts'
import type { RestRoute } from './routes.ts'

export interface AdmissionContext extends DoorContext {
  readonly isAllowed: IsAllowed
}

/**
 * Lets in whom the host lets in, and a site that signs a change of itself, which a disabled one may too (GB.G.2). Returns that
 * site, or null. Nothing has been read of the body yet.
 */
export async function admit(context: AdmissionContext, route: RestRoute, request: Request): Promise<Site | null> {
  if (!isSigned(request.get('authorization'))) {
    if (isForeignForm(request, context.sites.me?.url ?? null)) throw forbidden()
    if (await context.isAllowed(request, route.ability)) return null
    throw forbidden()
  }
  if (route.id !== 'update') throw badRequest()
  await context.sites.ensureFresh()
  const { site, scope } = await authenticate(request, context, { disabledToo: true })
  if (!('scope' in scope)) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  if (site.id !== request.params['id']) throw forbidden()
  return site
}

/**
 * A form, or nothing at all, browsers send where a page of another site tells them to, with the cookies of whoever looks at it. They
 * ask before they send JSON, or PUT and DELETE, and it is the host who answers that.
 */
function isForeignForm(request: Request, siteUrl: string | null): boolean {
  return request.method === 'POST' && !request.is('json') && isSameOrigin(request, siteUrl) === false
}
