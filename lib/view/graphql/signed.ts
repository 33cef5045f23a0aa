import type { Request, RequestHandler, Response } from 'express'
import type { Ability } from '../../ability.ts'
import { answering } from '../../databases.ts'
import { GeoError, messageOf } from '../../errors.ts'
import { jsonText } from '../../transfer/json-text.ts'
import { authenticate, type TokenScope } from '../../transfer/token.ts'
import type { Asker } from '../asker.ts'
import { refuse } from './body.ts'
import type { GraphqlSources } from './sources.ts'

/** For whom the primary passes an operation on: it has asked its host, and signed what the host said. */
export interface PassedOn {
  readonly asker: Asker
  readonly abilities: readonly Ability[]
}

type SignedScope = Extract<TokenScope, { graphql_sha256: string }>

/**
 * Lets in what the primary has signed: this operation and no other, for the next minute. `signed` looks who asks, before anything is
 * read of the body; `bound`, after it was read, whether it is what was signed.
 */
export function onlyFromPrimary(sources: GraphqlSources): { signed: RequestHandler; bound: RequestHandler } {
  const { sites, logger } = sources
  const refusing =
    (admit: (request: Request, response: Response) => Promise<void>): RequestHandler =>
    (request, response, next) => {
      admit(request, response).then(
        () => next(),
        (reason: unknown) => {
          if (!(reason instanceof GeoError)) return next(reason)
          const { code, status, message, cause } = reason
          logger.warn(
            { code, ip: request.ip, cause: messageOf(cause ?? '') },
            'A GraphQL operation in the name of the primary was refused',
          )
          refuse(response, status, code, message)
        },
      )
    }
  return {
    signed: refusing(async (request, response) => {
      await answering(() => sites.ensureFresh())
      const { site, scope } = await authenticate(request, sources)
      if (!site.primary || !('graphql_sha256' in scope)) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
      response.locals['geoGraphqlScope'] = scope
    }),
    bound: refusing(async (request, response) => {
      const scope = response.locals['geoGraphqlScope'] as SignedScope
      if (scope.graphql_sha256 !== jsonText(request.body).sha256) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
      // It does not say for which site it was made: whoever was asked must not ask the primary in its own name.
      sites.requireSecondary()
      const { authenticating_user_id: operator, authenticating_ip: ip, abilities } = scope
      const passedOn: PassedOn = { asker: { operator, ip: ip ?? null }, abilities }
      response.locals['geoPassedOn'] = passedOn
    }),
  }
}

export function passedOnBy(response: Response): PassedOn | null {
  return (response.locals['geoPassedOn'] as PassedOn | undefined) ?? null
}
