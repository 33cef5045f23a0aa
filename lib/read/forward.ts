import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Request, Response } from 'express'
import { Agent, request as ask, type Dispatcher } from 'undici'
import { GeoError, messageOf } from '../errors.ts'
import type { Site } from '../site-table.ts'
import { takenInTime } from '../transfer/slow-client.ts'
import { whenGone } from '../transfer/when-gone.ts'
import { connectOptions } from '../trust.ts'

/** Names the secondary that passed a request on; a second one does not pass it on again. */
export const FORWARDED_BY_HEADER = 'geo-forwarded-by'

// RFC 9110, 7.6.1; `expect` is answered by Node's server, and undici sets `host` itself.
const NOT_PASSED_ON = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
]
// Before any of these the primary has not begun to read.
const NEVER_REACHED = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]

export interface ForwardTo {
  readonly me: Site
  readonly primary: Site
  /** How long the primary may take between the end of the request and the beginning of its answer. */
  readonly firstByteTimeoutMs: number
}

/** Passes requests on to the primary and its answers back. Nothing is parsed or kept. */
export class Forwarder {
  readonly #agent: Agent
  readonly #idleTimeoutMs: number

  /** `idleTimeoutMs`: the longest silence within an answer. `ca`: authorities beside Node's own. */
  constructor(idleTimeoutMs: number, ca: readonly string[]) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#agent = new Agent({ bodyTimeout: idleTimeoutMs, ...connectOptions(ca) })
  }

  /** @throws GeoError `PRIMARY_UNREACHABLE`, `FORWARD_UNANSWERED`, `BODY_CONSUMED` */
  async forward({ me, primary, firstByteTimeoutMs }: ForwardTo, request: Request, response: Response): Promise<void> {
    if (request.readableDidRead) throw new GeoError('BODY_CONSUMED', 'The body of this request has been read already')
    const gone = new AbortController()
    whenGone(response, () => gone.abort())
    const answer = await this.#ask({ me, primary, firstByteTimeoutMs }, request, gone.signal)
    response.status(answer.statusCode)
    for (const [name, value] of passedOn(answer.headers)) response.setHeader(name, value)
    // Twice the time, for it is the primary that may be silent, and that is found first.
    await takenInTime(response, 2 * this.#idleTimeoutMs, () => pipeline(answer.body, response))
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #ask(
    { me, primary, firstByteTimeoutMs }: ForwardTo,
    request: Request,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await ask(sameAddressOn(me, primary.internalUrl, request), {
        method: request.method as Dispatcher.HttpMethod,
        headers: { ...Object.fromEntries(passedOn(request.headers)), ...forwardingHeaders(me, request) },
        // By an iterator: undici destroys a stream whose request fails, and with it the way back to the client.
        body: hasBody(request) ? Readable.from(request.iterator({ destroyOnReturn: false })) : null,
        headersTimeout: firstByteTimeoutMs,
        dispatcher: this.#agent,
        signal,
      })
    } catch (reason) {
      if (signal.aborted) throw reason
      const code = NEVER_REACHED.includes(codeOf(reason)) ? 'PRIMARY_UNREACHABLE' : 'FORWARD_UNANSWERED'
      throw new GeoError(code, `The primary does not answer: ${messageOf(reason)}`, { cause: reason })
    }
  }
}

/** The address on another site that corresponds to that of a request here. */
export function sameAddressOn(me: Site, baseUrl: string, { originalUrl }: Request): string {
  const below = new URL(me.url).pathname
  const path = originalUrl.startsWith(below) ? originalUrl.slice(below.length) : originalUrl
  return baseUrl + path.replace(/^\/+/, '')
}

// With several addresses for a host name, Node reports all failures in one error; they are alike.
function codeOf(reason: unknown): string {
  const first: unknown = reason instanceof AggregateError ? reason.errors[0] : reason
  return String((first as { code?: unknown } | undefined)?.code)
}

function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function passedOn(headers: Request['headers']): [string, string | string[]][] {
  const named = String(headers['connection'] ?? '')
    .toLowerCase()
    .split(/[\s,]+/)
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined || NOT_PASSED_ON.includes(name) || named.includes(name) ? [] : [[name, value]],
  )
}

function forwardingHeaders(me: Site, request: Request): Record<string, string> {
  const before = request.get('x-forwarded-for')
  const client = request.socket.remoteAddress ?? ''
  return {
    'x-forwarded-for': before ? `${before}, ${client}` : client,
    'x-forwarded-host': request.get('x-forwarded-host') ?? request.get('host') ?? '',
    'x-forwarded-proto': request.protocol,
    [FORWARDED_BY_HEADER]: me.name,
  }
}
