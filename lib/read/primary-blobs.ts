import { pipeline } from 'node:stream/promises'
import type { Request, Response } from 'express'
import { Agent, request as ask, type Dispatcher } from 'undici'
import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import { CHECKSUM_ETAG_HEADER } from '../transfer/checksum-etag.ts'
import type { Answer } from '../transfer/exchange.ts'
import { type Refusal, readRefusal, unreachable } from '../transfer/refusal.ts'
import { answerHead } from '../transfer/serve-one.ts'
import { takenInTime } from '../transfer/slow-client.ts'
import { signAsMe } from '../transfer/token.ts'
import { whenGone } from '../transfer/when-gone.ts'
import { connectOptions } from '../trust.ts'
import { isReaderGone } from './answer-failure.ts'

/** What the primary says of a blob before its bytes. */
interface Announced {
  readonly size: number
  /** Of the primary's file: what a range belongs to. */
  readonly fileEtag: string
  /** What the reader is told: the same on every site, where it can be. */
  readonly etag: string
}

/** Reads blobs of the primary for people: streamed through, never stored. */
export class PrimaryBlobs {
  readonly #sites: SiteDirectory
  readonly #clock: Clock
  readonly #agent: Agent
  readonly #idleTimeoutMs: number

  constructor(sites: SiteDirectory, clock: Clock, idleTimeoutMs: number, ca: readonly string[]) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#sites = sites
    this.#clock = clock
    // Both count silence of the primary; a slow reader is no silence.
    this.#agent = new Agent({ headersTimeout: idleTimeoutMs, bodyTimeout: idleTimeoutMs, ...connectOptions(ca) })
  }

  /** @throws GeoError `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_UNKNOWN` and what the primary answers */
  async send(
    replicable: Replicable,
    id: string,
    contentType: string,
    request: Request,
    response: Response,
  ): Promise<void> {
    const gone = new AbortController()
    whenGone(response, () => gone.abort())
    const get = (headers: Record<string, string> = {}) => this.#ask('GET', replicable, id, headers, gone.signal)
    // Whoever may need no bytes, or not all, is answered by what the primary says of them first.
    const before = mayNeedLess(request) ? await this.#ask('HEAD', replicable, id, {}, gone.signal) : null
    await before?.body.dump()
    if (before?.statusCode !== 200) return this.#answerWhole(await get(), contentType, request, response)
    const announced = announcedBy(before)
    const range = answerHead(request, response, { ...announced, contentType })
    if (!range) {
      response.end()
      return
    }
    const { start, end, partial } = range
    const asked = partial ? { range: `bytes=${start}-${end - 1}`, 'if-range': announced.fileEtag } : {}
    const answer = await get(asked)
    if (partial && answer.statusCode === 206) await this.#relay(answer, response)
    // The file changed in between: the range was one of other bytes.
    else await this.#answerWhole(answer, contentType, request, response)
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #answerWhole(
    answer: Dispatcher.ResponseData,
    contentType: string,
    request: Request,
    response: Response,
  ): Promise<void> {
    response.removeHeader('content-range')
    if (answer.statusCode !== 200) {
      const refusal = await readRefusal(asRead(answer))
      if (refusal.retryAfterMs !== undefined)
        response.set('retry-after', String(Math.ceil(refusal.retryAfterMs / 1000)))
      throw errorOf(refusal)
    }
    const { size, etag } = announcedBy(answer)
    response.set({ etag, 'accept-ranges': 'bytes', 'content-length': String(size) }).status(200)
    response.setHeader('content-type', contentType)
    if (request.method === 'HEAD') {
      await answer.body.dump()
      response.end()
    } else await this.#relay(answer, response)
  }

  /** Twice the time, for it is the primary that may be silent, and that is found first. */
  async #relay({ body }: Dispatcher.ResponseData, response: Response): Promise<void> {
    await takenInTime(response, 2 * this.#idleTimeoutMs, async () => {
      try {
        await pipeline(body, response)
      } catch (reason) {
        if (isReaderGone(reason)) throw reason
        throw new GeoError('BODY_TRUNCATED', 'The primary ended the transfer early', { cause: reason })
      }
    })
  }

  async #ask(
    method: 'GET' | 'HEAD',
    replicable: Replicable,
    id: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { primary } = this.#sites
    if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
    const scope = { replicable_name: replicable.name, replicable_id: id }
    const authorization = await signAsMe(this.#sites, scope, this.#clock)
    try {
      return await ask(`${primary.internalUrl}api/v4/geo/retrieve/${replicable.name}/${id}`, {
        method,
        dispatcher: this.#agent,
        signal,
        headers: { authorization, ...headers },
      })
    } catch (reason) {
      throw signal.aborted ? reason : errorOf(unreachable(reason))
    }
  }
}

function mayNeedLess(request: Request): boolean {
  return request.method === 'HEAD' || ['range', 'if-none-match'].some((header) => request.get(header) !== undefined)
}

function announcedBy({ headers }: Dispatcher.ResponseData): Announced {
  const { 'geo-blob-bytes': size, etag: fileEtag, [CHECKSUM_ETAG_HEADER]: checksumEtag } = headers
  if (typeof size !== 'string' || !/^[0-9]{1,15}$/.test(size) || typeof fileEtag !== 'string') {
    throw new GeoError('INVALID_RESPONSE', 'The answer of the primary does not say what it is')
  }
  return { size: Number(size), fileEtag, etag: typeof checksumEtag === 'string' ? checksumEtag : fileEtag }
}

/** The same answer as the transfer room reads it. */
function asRead({ statusCode: status, headers, body }: Dispatcher.ResponseData): Answer {
  return {
    status,
    headers,
    async read(take) {
      for await (const chunk of body) take(chunk)
    },
    dump: () => void body.destroy(),
  }
}

function errorOf({ code, message }: Refusal): GeoError {
  return new GeoError(code, message)
}
