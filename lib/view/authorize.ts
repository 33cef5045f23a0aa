import type { Request, RequestHandler } from 'express'
import type { Ability } from '../ability.ts'
import { messageOf } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import type { GeoSettings } from '../options.ts'

/** Whether the host lets this request do it. Never rejects. */
export type IsAllowed = (request: Request, ability: Ability) => Promise<boolean>

export interface AuthorizeContext {
  readonly settings: Pick<GeoSettings, 'authorize'>
  readonly logger: LoggerLike
}

/** Only `true` opens: whatever else the host's function answers, throws or rejects with is a no, and the last two are logged. */
export function isAllowedBy({ settings, logger }: AuthorizeContext): IsAllowed {
  return async (request, ability) => {
    try {
      return (await settings.authorize(request, ability)) === true
    } catch (reason) {
      logger.error({ ability, error: messageOf(reason) }, 'authorize() of the host failed; the request was refused')
      return false
    }
  }
}

/** Lets only those pass whom the host lets; answers all others 403, as GitLab's API does. */
export function requireAbility(isAllowed: IsAllowed, ability: Ability): RequestHandler {
  return (request, response, next) => {
    void isAllowed(request, ability).then((allowed) => {
      if (allowed) next()
      else response.status(403).json({ message: '403 Forbidden' })
    }, next)
  }
}
