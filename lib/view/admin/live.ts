import type { Request, Response } from 'express'
import type { Clock } from '../../clock.ts'
import { GeoError, messageOf } from '../../errors.ts'
import type { LoggerLike } from '../../log.ts'
import { whenGone } from '../../transfer/when-gone.ts'
import type { Page } from './page.ts'

const LOOK_EVERY_MS = 2000
const LOOKS_PER_CHECK = 8
const PAUSE_PER_WORK = 9
const RECONNECT_AFTER_MS = 5000
const MOST_STREAMS = 200

export interface LiveContext {
  readonly clock: Clock
  readonly logger: LoggerLike
}

export interface Watched {
  /** The page as it is now. */
  make(): Promise<Page>
  /** Asked now and then: who may look can change while somebody looks. */
  isStillAllowed(): Promise<boolean>
}

/** Pages that somebody looks at, each with a stream of server-sent events: the regions that have changed, whole. */
export class LiveStreams {
  readonly #context: LiveContext
  readonly #ending = new AbortController()
  #open = 0

  constructor(context: LiveContext) {
    this.#context = context
  }

  static isAsked(request: Request): boolean {
    return request.method === 'GET' && (request.get('accept') ?? '').includes('text/event-stream')
  }

  /**
   * `first` is the page as it has just been made.
   * @throws GeoError `TOO_MANY_VIEWERS`
   */
  async serve(response: Response, first: Page, watched: Watched): Promise<void> {
    if (this.#open >= MOST_STREAMS) throw new GeoError('TOO_MANY_VIEWERS', `${MOST_STREAMS} pages are live already`)
    this.#open += 1
    try {
      await this.#serve(response, first, watched)
    } finally {
      this.#open -= 1
      response.end()
    }
  }

  close(): void {
    this.#ending.abort()
  }

  async #serve(response: Response, first: Page, watched: Watched): Promise<void> {
    const { clock, logger } = this.#context
    const gone = new AbortController()
    whenGone(response, () => gone.abort())
    const ending = AbortSignal.any([gone.signal, this.#ending.signal])
    response.set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store, no-transform',
      'X-Accel-Buffering': 'no',
    })
    response.write(`retry: ${RECONNECT_AFTER_MS}\n\n`)
    const told = new Map<string, string>()
    try {
      tell(response, first, told)
      let pauseMs = LOOK_EVERY_MS
      for (let look = 1; !ending.aborted; look++) {
        await clock.sleep(pauseMs, ending)
        if (look % LOOKS_PER_CHECK === 0 && !ending.aborted) {
          if (!(await watched.isStillAllowed())) return
          response.write(': still here\n\n')
        }
        // A browser that does not keep up gets what is newest when it does.
        if (ending.aborted || response.writableNeedDrain) continue
        const beganMs = clock.monotonicMs()
        tell(response, await watched.make(), told)
        // Where a page takes long, somebody who only looks is not to make it worse.
        pauseMs = Math.max(LOOK_EVERY_MS, (clock.monotonicMs() - beganMs) * PAUSE_PER_WORK)
      }
    } catch (reason) {
      // The browser comes again by itself.
      if (!ending.aborted) logger.warn({ error: messageOf(reason) }, 'A live admin page could not be made anew')
    }
  }
}

function tell(response: Response, page: Page, told: Map<string, string>): void {
  for (const { id, html } of page.regions) {
    const text = String(html)
    if (told.get(id) === text) continue
    told.set(id, text)
    response.write(`event: region\ndata: ${JSON.stringify({ id, html: text })}\n\n`)
  }
}
