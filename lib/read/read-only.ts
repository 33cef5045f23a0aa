import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import type { SiteDirectory } from '../site.ts'
import type { Site } from '../site-table.ts'
import { answerFailure } from './answer-failure.ts'
import { FORWARDED_BY_HEADER, type Forwarder, sameAddressOn } from './forward.ts'

export interface ReadOnlyOptions {
  /**
   * True: a secondary passes writes on to the primary, bodies streamed both ways, and answers what the primary answers. Hosts
   * on the primary see `X-Forwarded-For`, `-Host` and `-Proto`; let Express trust them as far as it trusts the secondary.
   * Default false: 409 with the primary's URL. `firstByteTimeoutMs`: how long the primary may take to begin its answer;
   * default 60,000.
   */
  readonly forward?: boolean | { readonly firstByteTimeoutMs?: number }
}

export interface ReadOnlyContext {
  readonly sites: SiteDirectory
  readonly forwarder: Forwarder
  readonly logger: LoggerLike
}

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']
/** What the sites say to each other is no write of the host's. */
const OWN_ROUTES = /^\/api\/v4\/geo(\/|$)/
const FIRST_BYTE_TIMEOUT_MS = 60_000

/** Turns writes away from a secondary, or passes them on, before their body is read. */
export function readOnly(context: ReadOnlyContext, { forward = false }: ReadOnlyOptions = {}): RequestHandler {
  const answer = answerFailure(context.logger)
  return (request: Request, response: Response, next: NextFunction) => {
    if (SAFE_METHODS.includes(request.method) || OWN_ROUTES.test(request.path)) next()
    else judge(context, forward, request, response, next).catch((reason) => answer(reason, request, response, next))
  }
}

async function judge(
  { sites, forwarder }: ReadOnlyContext,
  forward: NonNullable<ReadOnlyOptions['forward']>,
  request: Request,
  response: Response,
  next: NextFunction,
): Promise<void> {
  await answering(() => sites.ensureFresh())
  const me = sites.requireMe()
  if (me.primary) {
    next()
    return
  }
  const { primary } = sites
  if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
  if (!forward) return turnAway(me, primary, request, response)
  const by = request.get(FORWARDED_BY_HEADER)
  if (by !== undefined)
    throw new GeoError('FORWARD_LOOP', `"${by}" passed this on to "${me.name}", which is no primary`)
  const { firstByteTimeoutMs = FIRST_BYTE_TIMEOUT_MS } = forward === true ? {} : forward
  await forwarder.forward({ me, primary, firstByteTimeoutMs }, request, response)
}

/** The answer says where the write belongs: `primary` is the site, the header the same path there. */
function turnAway(me: Site, primary: Site, request: Request, response: Response): void {
  const error = new GeoError('READ_ONLY_SITE', `This site only reads. Write to the primary at ${primary.url}`)
  response
    .status(error.status)
    .set('location', sameAddressOn(me, primary.url, request))
    .json({ message: error.message, code: error.code, primary: primary.url })
}
