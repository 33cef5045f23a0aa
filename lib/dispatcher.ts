import type { Clock } from './clock.ts'
import { GeoError, messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'

/** Where a dispatcher gets its work: claims are made in the database, so several processes share it. */
export interface WorkSource<Claim> {
  readonly name: string
  /** How many claims this process may work at once. */
  limit(): number
  /** Claims a batch, or null where nothing waits or the site's capacity is used up. */
  claim(): Promise<Claim | null>
  /** Works a batch to its end, marks included. */
  work(claim: Claim): Promise<void>
}

/**
 * Keeps as many claims at work as the source allows. A finished batch asks for the next at once; the caller's pause is
 * only for finding work after idleness.
 */
export class Dispatcher<Claim> {
  readonly #source: WorkSource<Claim>
  readonly #clock: Clock
  readonly #logger: LoggerLike
  readonly #running = new Set<Promise<void>>()
  #filling: Promise<void> | null = null
  #begun = 0
  #draining = false
  #stopping = false
  #pausedUntilMs = Number.NEGATIVE_INFINITY

  constructor(source: WorkSource<Claim>, clock: Clock, logger: LoggerLike) {
    this.#source = source
    this.#clock = clock
    this.#logger = logger
  }

  /** Claims and starts batches until the limit is reached or nothing waits. `wake` is called when one of them has ended. */
  fill(wake: () => void): Promise<void> {
    this.#filling = this.#fill(wake)
    return this.#filling
  }

  async #fill(wake: () => void): Promise<void> {
    while (
      !this.#draining &&
      this.#clock.monotonicMs() >= this.#pausedUntilMs &&
      this.#running.size < this.#source.limit()
    ) {
      const claim = await this.#source.claim()
      if (claim === null) return
      const running = this.#source
        .work(claim)
        .catch((reason: unknown) => {
          // Its rows are given back once the database answers, or taken up again when their lease has ended: nothing is lost but time.
          if (this.#stopping) return
          this.#logger.error(
            {
              code: reason instanceof GeoError ? reason.code : 'JOB_FAILING',
              job: this.#source.name,
              error: messageOf(reason),
            },
            'A batch was abandoned',
          )
          this.#pausedUntilMs = this.#clock.monotonicMs() + 1000
        })
        .finally(() => {
          this.#running.delete(running)
          wake()
        })
      this.#running.add(running)
      this.#begun += 1
    }
  }

  /** How many batches it has begun so far. */
  get begun(): number {
    return this.#begun
  }

  get idle(): boolean {
    return this.#running.size === 0
  }

  /** Resolves when nothing runs any more, what was begun meanwhile included. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** Takes no new work from now on; resolves when what runs has ended. */
  async drain(): Promise<void> {
    this.#draining = true
    // A claim that is being made is still worked.
    await Promise.allSettled([this.#filling])
    await this.settled()
  }

  /** As drain, where what runs is cut at the same time: that it fails is no news. */
  stop(): Promise<void> {
    this.#stopping = true
    return this.drain()
  }
}
