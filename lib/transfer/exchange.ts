import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import { urlToHttpOptions } from 'node:url'
import { agentFor, readDirectly } from './connections.ts'
import type { Line } from './line.ts'

export interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** An answer whose body waits until it is read or dumped; one of the two must be called. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /**
   * Reads the body to its end. `take` gets every chunk as soon as it has come, also what came just before the connection broke;
   * its memory is used for something else afterwards, unless `keeps` says that whoever takes it keeps it. Rejects where the body did
   * not end as it should, or with what `take` threw.
   */
  read(take: (chunk: Buffer) => void, options?: { readonly keeps?: boolean }): Promise<void>
  /** Cuts the connection: the rest of the body is of no interest. */
  dump(): void
}

/** A body with at least so much left is read past the parser of HTTP; its connection is not used again. */
const DIRECT_BYTES = 8 * 1024 * 1024

/** An absolute URL taken apart without a parser that would write it anew: a signature holds for these very bytes. */
export function splitUrl(url: string): { origin: string; path: string } | null {
  const [, origin, rest] = /^(https?:\/\/[^/?#@\s]+)([^#\s]*)/i.exec(url) ?? []
  if (origin === undefined || rest === undefined) return null
  return { origin, path: rest.startsWith('/') ? rest : `/${rest}` }
}

type LinePart = Pick<Line, 'signal' | 'live' | 'spend'>

/**
 * Sends a request; resolves when the head of the answer is there. Rejects where none came within `idleTimeoutMs`, which is also
 * how long a body may be silent.
 */
export async function exchange(asked: Asked, idleTimeoutMs: number, line: LinePart): Promise<Answer> {
  const split = splitUrl(asked.url)
  if (!split || !URL.canParse(split.origin)) throw new TypeError('Not an absolute http or https URL')
  const origin = urlToHttpOptions(new URL(split.origin))
  const { method, headers, body } = asked
  const ask = origin.protocol === 'https:' ? requestHttps : requestHttp
  const agent = agentFor(origin.protocol ?? '')
  for (;;) {
    const request = ask({ ...origin, path: split.path, method, headers, agent })
    try {
      return await new Promise((resolve, reject) => {
        new Exchange(request, idleTimeoutMs, line, resolve, reject)
        request.end(body)
      })
    } catch (reason) {
      if (!wasClosedMeanwhile(request, reason)) throw reason
    }
  }
}

/**
 * Whoever is at the other end may close a connection on which nothing is asked at any time, also while a request is on its way. All that
 * we send may be sent twice. A new connection is never one that was used before, so this ends.
 */
function wasClosedMeanwhile({ reusedSocket }: ClientRequest, reason: unknown): boolean {
  return reusedSocket && ['ECONNRESET', 'EPIPE'].includes((reason as NodeJS.ErrnoException | null)?.code ?? '')
}

/** One request and its answer. */
class Exchange {
  readonly #request: ClientRequest
  readonly #idleTimeoutMs: number
  readonly #line: LinePart
  readonly #answered: (answer: Answer) => void
  readonly #failed: (reason: unknown) => void
  readonly #ended = Promise.withResolvers<void>()
  readonly #headTimer: NodeJS.Timeout
  #socket: Socket | null = null
  #take: ((chunk: Buffer) => void) | null = null
  #waits = false
  #whole = false
  #over = false

  constructor(
    request: ClientRequest,
    idleTimeoutMs: number,
    line: LinePart,
    answered: (answer: Answer) => void,
    failed: (reason: unknown) => void,
  ) {
    this.#request = request
    this.#idleTimeoutMs = idleTimeoutMs
    this.#line = line
    this.#answered = answered
    this.#failed = failed
    // Whoever reads hears of it; a body that nobody reads may end as it likes.
    this.#ended.promise.catch(() => undefined)
    this.#headTimer = setTimeout(() => this.#giveUp(), idleTimeoutMs)
    line.signal.addEventListener('abort', this.#cutByLine, { once: true })
    request.on('socket', (socket) => this.#beforeSending(socket))
    request.on('response', (response) => this.#receive(response))
    request.on('error', (reason) => {
      if (!this.#whole) this.#fail(reason)
    })
  }

  // While we let the other side wait it cannot say anything.
  readonly #silent = (): void => {
    if (!this.#waits) this.#giveUp()
  }

  readonly #cutByLine = (): void => this.#cut(new Error('The transfer was cut from this side'))

  /** The last moment before it is sent: the process may have been stopped since it was decided to send it. */
  #beforeSending(socket: Socket): void {
    this.#socket = socket
    socket.setTimeout(this.#idleTimeoutMs)
    socket.on('timeout', this.#silent)
    const check = (): void => {
      if (!this.#line.live) this.#cutByLine()
    }
    if (socket.connecting) socket.once('connect', check)
    else check()
  }

  #receive(response: IncomingMessage): void {
    clearTimeout(this.#headTimer)
    const broken = (cause?: Error): void => {
      if (!this.#whole) this.#fail(new Error('The connection broke', { cause }))
    }
    response.on('error', broken)
    response.on('close', broken)
    response.on('end', () => this.#end())
    this.#answered({
      status: response.statusCode ?? 0,
      headers: response.headers,
      read: (take, { keeps = false } = {}) => {
        this.#take = take
        this.#read(response, keeps)
        return this.#ended.promise
      },
      dump: () => this.#cut(new Error('The rest of the answer is not wanted')),
    })
  }

  #read(response: IncomingMessage, keeps: boolean): void {
    const length = lengthOf(response)
    if (length !== null && length >= DIRECT_BYTES && !keeps) {
      // What the parser had already.
      const first: Buffer = response.read() ?? Buffer.alloc(0)
      this.#readDirectly(response.socket, length - first.length)
      if (first.length > 0) this.#pass(first, response.socket)
      return
    }
    response.on('data', (chunk: Buffer) => {
      this.#pass(chunk, response)
      if (!keeps) giveBack(chunk)
    })
  }

  #readDirectly(socket: Socket, bytes: number): void {
    let left = bytes
    readDirectly(socket, (piece) => {
      this.#pass(piece.subarray(0, left), socket)
      left -= piece.length
      if (left > 0) return
      this.#end()
      socket.destroy()
    })
  }

  /** Hands on what has come; more comes once the line allows it. */
  #pass(chunk: Buffer, source: Socket | IncomingMessage): void {
    if (this.#over) return
    try {
      this.#take?.(chunk)
    } catch (reason) {
      this.#cut(reason)
      return
    }
    const granted = this.#line.spend(chunk.length)
    if (!granted) return
    this.#waits = true
    source.pause()
    // Where it is cut the whole request is, and so is whoever reads.
    granted.then(
      () => {
        this.#waits = false
        if (this.#whole) return this.#end()
        this.#socket?.setTimeout(this.#idleTimeoutMs)
        source.resume()
      },
      () => undefined,
    )
  }

  /** All has come. It is read once the last of it is granted, for the next request would go ahead of the limit. */
  #end(): void {
    this.#whole = true
    if (this.#over || this.#waits) return
    this.#close()
    this.#ended.resolve()
  }

  #giveUp(): void {
    this.#cut(new Error(`Timeout: nothing came for ${this.#idleTimeoutMs} ms`))
  }

  #cut(reason: unknown): void {
    this.#fail(reason)
    this.#request.destroy()
  }

  #fail(reason: unknown): void {
    if (this.#over) return
    this.#close()
    this.#failed(reason)
    this.#ended.reject(reason)
  }

  #close(): void {
    this.#over = true
    clearTimeout(this.#headTimer)
    this.#socket?.off('timeout', this.#silent)
    this.#line.signal.removeEventListener('abort', this.#cutByLine)
  }
}

/**
 * The collector sees small objects only, and lets the memory behind them pile up. Given back is what a chunk fills alone: beside other
 * bytes there may lie some that are still to be read.
 */
function giveBack({ buffer, length }: Buffer): void {
  if (buffer instanceof ArrayBuffer && length > 0 && length === buffer.byteLength) buffer.transfer(0)
}

/** How long the body is, where the head says so and the body comes as it is. */
function lengthOf({ headers }: IncomingMessage): number | null {
  if (headers['transfer-encoding'] !== undefined) return null
  const length = headers['content-length']
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : null
}
