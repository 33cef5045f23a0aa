import type { MessagePort } from 'node:worker_threads'

/** What a transfer thread asks the main thread while a transfer runs. */
export type LineQuestion =
  | { readonly ask: 'authorization' }
  | { readonly ask: 'bytes'; readonly bytes: number }
  /** Not answered. */
  | { readonly ask: 'sync'; readonly path: string }

/** What the main thread says: answers, of each kind in the order of the questions, or that the transfer is to end. */
export type LineMessage =
  | { readonly say: 'cut' }
  | { readonly say: 'authorization'; readonly authorization: string }
  | { readonly say: 'bytes'; readonly bytes: number }

export interface LineEnds {
  readonly port: MessagePort
  /** Until when the lease lives unless it is renewed, as of `process.hrtime.bigint()`; shared, so it needs no message. */
  readonly endsAt: BigInt64Array
  /** Bytes a second that the site may receive, 0 for unlimited; shared. */
  readonly rate: Float64Array
}

/** The thread's end of the line to the main thread. Close it when the transfer has ended. */
export class Line {
  readonly #ends: LineEnds
  readonly #cut = new AbortController()
  readonly #waiting: (PromiseWithResolvers<LineMessage> & { readonly ask: LineQuestion['ask'] })[] = []
  #allowance = 0

  constructor(ends: LineEnds) {
    this.#ends = ends
    ends.port.on('message', (message: LineMessage) => {
      // Bytes may be granted long after they were asked for, and what broke meanwhile asks for an authorization.
      const at = this.#waiting.findIndex(({ ask }) => ask === message.say)
      if (message.say !== 'cut') return this.#waiting.splice(at, at < 0 ? 0 : 1)[0]?.resolve(message)
      this.#cut.abort(new Error('The transfer was cut from this side'))
      for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#cut.signal.reason)
    })
  }

  /** Aborts when the transfer is to end: the lease is lost, or the process stops. */
  get signal(): AbortSignal {
    return this.#cut.signal
  }

  /** Whether the lease lives for certain: also right after the whole process was stopped for a while and no message came yet. */
  get live(): boolean {
    return !this.#cut.signal.aborted && process.hrtime.bigint() < Atomics.load(this.#ends.endsAt, 0)
  }

  /** A new Authorization header: one lives for a minute only. */
  async authorization(): Promise<string> {
    const answer = await this.#ask({ ask: 'authorization' })
    if (answer.say !== 'authorization') throw new TypeError(`Asked for an authorization and got ${answer.say}`)
    return answer.authorization
  }

  /** Charges bytes that have come. Null where more may come at once; else to be waited for, and rejected once it is cut. */
  spend(bytes: number): Promise<void> | null {
    if (this.#ends.rate[0] === 0) return null
    this.#allowance -= bytes
    if (this.#allowance >= 0) return null
    return this.#ask({ ask: 'bytes', bytes: -this.#allowance }).then((answer) => {
      if (answer.say === 'bytes') this.#allowance += answer.bytes
    })
  }

  /** Has the disk begin with what was written to a file. */
  sync(path: string): void {
    this.#ends.port.postMessage({ ask: 'sync', path } satisfies LineQuestion)
  }

  /** What was granted and not used: others may. */
  get unspent(): number {
    return Math.max(0, this.#allowance)
  }

  close(): void {
    this.#ends.port.close()
  }

  /** Rejects once the transfer is cut: then no answer may come any more. */
  async #ask(question: LineQuestion): Promise<LineMessage> {
    this.#cut.signal.throwIfAborted()
    const answer = { ...Promise.withResolvers<LineMessage>(), ask: question.ask }
    this.#waiting.push(answer)
    this.#ends.port.postMessage(question)
    return answer.promise
  }
}
