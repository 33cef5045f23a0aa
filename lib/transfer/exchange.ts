import { createSecureContext, getCACertificates } from 'node:tls'
import { workerData } from 'node:worker_threads'
import { Agent, type Dispatcher } from 'undici'
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
   * its memory is given back afterwards, unless `keeps` says that whoever takes it keeps it. Rejects where the body did not end as it
   * should, or with what `take` threw.
   */
  read(take: (chunk: Buffer) => void, options?: { readonly keeps?: boolean }): Promise<void>
  /** Cuts the connection: the rest of the body is of no interest. */
  dump(): void
}

let agent: Agent | null = null
function agentOf(idleTimeoutMs: number): Agent {
  // One per thread, with connections kept alive between requests. Both timeouts count silence, not length.
  agent ??= new Agent({
    headersTimeout: idleTimeoutMs,
    bodyTimeout: idleTimeoutMs,
    keepAliveTimeout: 30_000,
    ...connectOptions((workerData as ThreadData | null)?.ca ?? []),
  })
  return agent
}

/** What every transfer thread is started with. */
export interface ThreadData {
  readonly ca: readonly string[]
}

/** What an Agent has to know to trust the host's own authorities. */
export function connectOptions(ca: readonly string[]): Pick<Agent.Options, 'connect'> {
  // Beside Node's own: a redirect may lead to a public store.
  return ca.length > 0
    ? { connect: { secureContext: createSecureContext({ ca: [...getCACertificates(), ...ca] }) } }
    : {}
}

/** An absolute URL taken apart without a parser that would write it anew: a signature holds for these very bytes. */
export function splitUrl(url: string): { origin: string; path: string } | null {
  const [, origin, rest] = /^(https?:\/\/[^/?#@\s]+)([^#\s]*)/i.exec(url) ?? []
  if (origin === undefined || rest === undefined) return null
  return { origin, path: rest.startsWith('/') ? rest : `/${rest}` }
}

/** Sends a request; resolves when the head of the answer is there. Rejects where none came. */
export function exchange(
  asked: Asked,
  idleTimeoutMs: number,
  line: Pick<Line, 'signal' | 'live' | 'spend'>,
): Promise<Answer> {
  const { method, url, headers, body } = asked
  const split = splitUrl(url)
  if (!split) return Promise.reject(new TypeError('Not an absolute http or https URL'))
  return new Promise((resolve, reject) => {
    const handler = new AnswerHandler(line, resolve, reject)
    const request = { method, headers, body: body ?? null, ...split }
    agentOf(idleTimeoutMs).dispatch(request, handler)
  })
}

class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #line: Pick<Line, 'signal' | 'live' | 'spend'>
  readonly #answered: (answer: Answer) => void
  readonly #failed: (reason: unknown) => void
  readonly #ended = Promise.withResolvers<void>()
  #take: ((chunk: Buffer) => void) | null = null
  /** What was taken last. */
  #taken: Buffer | null = null
  #keeps = false
  #stopListening = (): void => undefined

  constructor(
    line: Pick<Line, 'signal' | 'live' | 'spend'>,
    answered: (answer: Answer) => void,
    failed: (reason: unknown) => void,
  ) {
    this.#line = line
    this.#answered = answered
    this.#failed = failed
    // Whoever reads hears of it; a body that nobody reads may end as it likes.
    this.#ended.promise.catch(() => undefined)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const { signal } = this.#line
    const cut = (): void => controller.abort(new Error('The transfer was cut from this side'))
    // The last moment before it is sent: the process may have been stopped since it was decided to send it.
    if (!this.#line.live) cut()
    else signal.addEventListener('abort', cut, { once: true })
    this.#stopListening = () => signal.removeEventListener('abort', cut)
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // 1xx announce the answer proper.
    if (status < 200) return
    controller.pause()
    this.#answered({
      status,
      headers,
      read: (take, { keeps = false } = {}) => {
        this.#take = take
        this.#keeps = keeps
        controller.resume()
        return this.#ended.promise
      },
      dump: () => controller.abort(new Error('The rest of the answer is not wanted')),
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#take?.(chunk)
    if (!this.#keeps) this.#giveBack(this.#taken)
    this.#taken = chunk
    const waiting = this.#line.spend(chunk.length)
    if (!waiting) return
    controller.pause()
    // Where it is cut the whole request is aborted, and so is whoever reads.
    waiting.then(
      () => controller.resume(),
      () => undefined,
    )
  }

  /**
   * Left to the collector, which sees small objects only, 64 KiB each pile up behind them: 78 MiB of a large blob. Given back is what
   * fills its memory alone, for beside other bytes there may lie some that are still to be read; and only once the next has come,
   * for undici looks at a chunk again where a pause was asked for.
   */
  #giveBack(chunk: Buffer | null): void {
    // undici resumes with an empty buffer that is always the same.
    if (!chunk || chunk.length === 0) return
    if (chunk.buffer instanceof ArrayBuffer && chunk.length === chunk.buffer.byteLength) chunk.buffer.transfer(0)
  }

  onResponseEnd(): void {
    this.#stopListening()
    this.#ended.resolve()
  }

  onResponseError(_controller: Dispatcher.DispatchController, reason: Error): void {
    this.#stopListening()
    this.#failed(reason)
    this.#ended.reject(reason)
  }
}
