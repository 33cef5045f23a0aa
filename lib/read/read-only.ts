import type { NextFunction, Request, RequestHandler, Response, Router } from 'express'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import type { SiteDirectory } from '../site.ts'
import type { Site } from '../site-table.ts'
import { answerFailure } from './answer-failure.ts'
import { FORWARDED_BY_HEADER, type Forwarder, sameAddressOn } from './forward.ts'
import { isOwnRoute } from './own-routes.ts'

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
  /** The SDK's routes: what they get is no write of the host's. */
  own(): Router
}

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']
const FIRST_BYTE_TIMEOUT_MS = 60_000

/** Turns writes away from a secondary, or passes them on, before their body is read. */
export function readOnly(context: ReadOnlyContext, { forward = false }: ReadOnlyOptions = {}): RequestHandler {
  const answer = answerFailure(context.logger)
  return (request: Request, response: Response, next: NextFunction) => {
    if (SAFE_METHODS.includes(request.method)) return next()
    judge(context, forward, request, response).then(
      (passes) => (passes ? next() : undefined),
      (reason) => answer(reason, request, response, next),
    )
  }
}

/** Whether the request passes; otherwise it is answered. */
async function judge(
  { sites, forwarder, own }: ReadOnlyContext,
  forward: NonNullable<ReadOnlyOptions['forward']>,
  request: Request,
  response: Response,
): Promise<boolean> {
  // First of all: sites speak to each other also where this one does not know what it is.
  if (isOwnRoute(own(), request)) return true
  await answering(() => sites.ensureFresh())
  const me = sites.requireMe()
  sites.requireUnfenced()
  if (me.primary) {
    if (me.readOnly) throw readOnlyMode(me)
    return true
  }
  const { primary } = sites
  if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
  if (!forward) {
    await turnAway(me, primary, request, response)
    return false
  }
  const by = request.get(FORWARDED_BY_HEADER)
  if (by !== undefined)
    throw new GeoError('FORWARD_LOOP', `"${by}" passed this on to "${me.name}", which is no primary`)
  const { firstByteTimeoutMs = FIRST_BYTE_TIMEOUT_MS } = forward === true ? {} : forward
  await forwarder.forward({ me, primary, firstByteTimeoutMs }, request, response)
  return false
}

function readOnlyMode({ name, readOnly }: Site): GeoError {
  return new GeoError('READ_ONLY_MODE', readOnly?.message ?? `The site "${name}" takes no writes for now`)
}

// Enough for what is written by hand; whoever sends more without `Expect: 100-continue` may find the connection closed.
const MOST_DISCARDED_BYTES = 4 * 1024 * 1024

/** A client that is still sending when the connection closes never sees the answer, so a small body is let come first. */
function discardBody(request: Request): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > MOST_DISCARDED_BYTES) resolve()
    })
    request.once('end', resolve)
    request.once('close', resolve)
    // A parser before us may have read it all: then none of these comes any more.
    if (request.readableEnded || request.destroyed) resolve()
  })
}

/** The answer says where the write belongs: `primary` is the site, the header the same path there. */
async function turnAway(me: Site, primary: Site, request: Request, response: Response): Promise<void> {
  await discardBody(request)
  const error = new GeoError('READ_ONLY_SITE', `This site only reads. Write to the primary at ${primary.url}`)
  response
    .status(error.status)
    .set('location', sameAddressOn(me, primary.url, request))
    .json({ message: error.message, code: error.code, primary: primary.url })
}
