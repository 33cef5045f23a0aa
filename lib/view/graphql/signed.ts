import type { Request, RequestHandler, Response } from 'express'
import type { Ability } from '../../ability.ts'
import { GeoError } from '../../errors.ts'
import { jsonText } from '../../transfer/json-text.ts'
import { authenticate } from '../../transfer/token.ts'
import type { Asker } from '../asker.ts'
import { refuse } from './body.ts'
import type { GraphqlSources } from './sources.ts'

/** For whom the primary passes an operation on: it has asked its host, and signed what the host said. */
export interface PassedOn {
  readonly asker: Asker
  readonly abilities: readonly Ability[]
}

/** Lets in what the primary has signed: this operation and no other, for the next minute. */
export function onlyFromPrimary(sources: GraphqlSources): RequestHandler {
  const { sites, logger } = sources
  async function admit(request: Request): Promise<PassedOn> {
    await sites.ensureFresh()
    const { site, scope } = await authenticate(request, sources)
    const isBound = 'graphql_sha256' in scope && scope.graphql_sha256 === jsonText(request.body).sha256
    if (!site.primary || !isBound) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
    const { authenticating_user_id: operator, authenticating_ip: ip, abilities } = scope
    return { asker: { operator, ip: ip ?? null }, abilities }
  }
  return (request, response, next) => {
    admit(request).then(
      (passedOn) => {
        response.locals['geoPassedOn'] = passedOn
        next()
      },
      (reason: unknown) => {
        if (!(reason instanceof GeoError)) return next(reason)
        logger.warn({ code: reason.code, ip: request.ip }, 'A GraphQL operation in the name of the primary was refused')
        refuse(response, reason.status, reason.code, reason.message)
      },
    )
  }
}

export function passedOnBy(response: Response): PassedOn | null {
  return (response.locals['geoPassedOn'] as PassedOn | undefined) ?? null
}
