import { pipeline } from 'node:stream/promises'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { Agent, request as ask } from 'undici'
import { ABILITIES } from '../../ability.ts'
import { answering } from '../../databases.ts'
import { GeoError, messageOf } from '../../errors.ts'
import type { Site } from '../../site-table.ts'
import { jsonText } from '../../transfer/json-text.ts'
import { signAsMe } from '../../transfer/token.ts'
import { whenGone } from '../../transfer/when-gone.ts'
import { connectOptions } from '../../trust.ts'
import { askerOf } from '../asker.ts'
import type { GraphqlSources } from './sources.ts'

const FIRST_BYTE_TIMEOUT_MS = 30_000

const SECONDARY_PATH = 'api/v4/geo/graphql'

/**
 * Passes an operation on to a secondary, whose registries only it knows, signed, with what the host says of who asks (GB.G.2).
 * Answers come as they are, streams of events too.
 */
export class NodeProxy {
  readonly #sources: GraphqlSources
  readonly #agent: Agent

  constructor(sources: GraphqlSources) {
    this.#sources = sources
    const { idleTimeoutMs, ca } = sources.settings
    this.#agent = new Agent({ bodyTimeout: idleTimeoutMs, ...connectOptions(ca) })
  }

  /** `here` answers what is meant for this site itself. */
  handler(here: RequestHandler): RequestHandler {
    return (request: Request, response: Response, next: NextFunction) => {
      this.#pass(request, response, () => here(request, response, next)).catch((reason: unknown) => {
        if (response.headersSent) return response.destroy()
        const failure =
          reason instanceof GeoError ? reason : new GeoError('INTERNAL', 'Internal error', { cause: reason })
        const { code, message, cause } = failure
        const fields = { code, error: message, ...(cause !== undefined && { cause: messageOf(cause) }) }
        this.#sources.logger.warn(fields, 'A GraphQL operation could not be passed on')
        // GB.G.2 answers 500 whatever it was.
        response.status(code === 'SITE_UNREACHABLE' ? 500 : failure.status).json({ error: message, code })
      })
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #pass(request: Request, response: Response, here: () => unknown): Promise<void> {
    const { sites } = this.#sources
    await answering(() => sites.ensureFresh())
    const me = sites.requireMe()
    const site = sites.all.find(({ id }) => id === request.params['id'])
    if (!site) {
      response.status(404).json({ message: '404 GeoNode Not Found' })
    } else if (site.id === me.id) here()
    else if (me.primary) await this.#passTo(site, request, response)
    else throw new GeoError('NOT_PRIMARY', 'Only the primary passes operations on')
  }

  async #passTo(site: Site, request: Request, response: Response): Promise<void> {
    const { settings, isAllowed, sites, clock } = this.#sources
    sites.requireUnfenced()
    const { text, sha256 } = jsonText(request.body)
    const may = await Promise.all(ABILITIES.map((ability) => isAllowed(request, ability)))
    const { operator, ip } = await askerOf(settings, request)
    const scope = {
      graphql_sha256: sha256,
      authenticating_user_id: operator,
      authenticating_ip: ip,
      abilities: ABILITIES.filter((_, position) => may[position]),
    }
    const gone = new AbortController()
    whenGone(response, () => gone.abort())
    const authorization = await signAsMe(sites, scope, clock)
    const answer = await ask(`${site.internalUrl}${SECONDARY_PATH}`, {
      method: 'POST',
      headers: {
        authorization,
        'content-type': 'application/json',
        accept: request.get('accept') ?? 'application/json',
      },
      body: text,
      headersTimeout: FIRST_BYTE_TIMEOUT_MS,
      dispatcher: this.#agent,
      signal: gone.signal,
    }).catch((cause: { code?: unknown }) => {
      const how = typeof cause.code === 'string' ? ` (${cause.code})` : ''
      throw new GeoError('SITE_UNREACHABLE', `The site "${site.name}" does not answer${how}`, { cause })
    })
    response.status(answer.statusCode).set('cache-control', 'no-store')
    const type = answer.headers['content-type']
    if (typeof type === 'string') response.set('content-type', type)
    response.flushHeaders()
    await pipeline(answer.body, response)
  }
}
