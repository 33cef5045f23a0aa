import type { Clock } from './clock.ts'
import { GeoError, messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'
import type { Role } from './site.ts'

/** Periodic work of one role. */
export interface Job {
  readonly name: string
  readonly role: Role | 'any'
  /** How long to rest after a run that found nothing more to do, in milliseconds. */
  readonly idleMs: number
  /** Longest rest after failures, in milliseconds. Default 10,000. */
  readonly longestRetryMs?: number
  /** Goes on while the process drains: work that runs to its end needs it. Default false. */
  readonly upkeep?: boolean
  /** One bounded piece of work. True: there is more, run again at once. The signal aborts when there is to be no next one. */
  run(signal: AbortSignal): Promise<boolean>
}

/** A job whose last run failed. */
export interface JobFailure {
  readonly job: string
  readonly error: unknown
}

const FIRST_RETRY_MS = 500
/** Longest rest of a failing job, unless it says otherwise. */
export const LONGEST_RETRY_MS = 10_000
/** A failing job is logged when it begins to fail, then at most this often. */
const LOG_AGAIN_MS = 60_000

/** Runs each job in a loop of its own while the site has the job's role: no overlap, a rest when idle, a backoff when failing. */
export class JobLoops {
  readonly #clock: Clock
  readonly #logger: LoggerLike
  readonly #roleOf: () => Role
  readonly #wakers = new Map<string, () => void>()
  readonly #failures = new Map<string, unknown>()
  readonly #stopping = new AbortController()
  readonly #draining = new AbortController()
  readonly #loops = new Map<Job, Promise<void>>()

  constructor(clock: Clock, logger: LoggerLike, roleOf: () => Role) {
    this.#clock = clock
    this.#logger = logger
    this.#roleOf = roleOf
  }

  /** Without effect on jobs that run already, and once the loops drain or stop. */
  start(jobs: readonly Job[]): void {
    if (this.#draining.signal.aborted) return
    for (const job of jobs) if (!this.#loops.has(job)) this.#loops.set(job, this.#loop(job))
  }

  /** Ends the rest of a job early; a job that runs runs once more. */
  wake(name: string): void {
    this.#wakers.get(name)?.()
  }

  get failures(): readonly JobFailure[] {
    return [...this.#failures].map(([job, error]) => ({ job, error }))
  }

  /** Begins no new runs but those of upkeep. Resolves when every other run that was going on has ended. */
  async drain(): Promise<void> {
    this.#draining.abort()
    await Promise.all([...this.#loops].map(([job, loop]) => (job.upkeep ? null : loop)))
  }

  /** Begins no new runs. Resolves when every run that was going on has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#draining.abort()
    await Promise.all(this.#loops.values())
  }

  async #loop(job: Job): Promise<void> {
    const { signal } = job.upkeep ? this.#stopping : this.#draining
    let failures = 0
    let loggedAtMs = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      const woken = new AbortController()
      this.#wakers.set(job.name, () => woken.abort())
      let restMs = job.idleMs
      try {
        if ((job.role === 'any' || job.role === this.#roleOf()) && (await job.run(signal))) restMs = 0
        failures = 0
        this.#failures.delete(job.name)
      } catch (error) {
        if (signal.aborted) return
        restMs = Math.min(FIRST_RETRY_MS * 2 ** failures, job.longestRetryMs ?? LONGEST_RETRY_MS)
        failures += 1
        this.#failures.set(job.name, error)
        if (this.#clock.monotonicMs() - loggedAtMs >= LOG_AGAIN_MS) {
          loggedAtMs = this.#clock.monotonicMs()
          const code = error instanceof GeoError ? error.code : 'JOB_FAILING'
          this.#logger.error(
            { code, job: job.name, error: messageOf(error) },
            `The job ${job.name} failed; it is tried again`,
          )
        }
      }
      // Even a job with more to do lets the host's callbacks run between two of its pieces.
      if (restMs === 0) await new Promise((resolve) => setImmediate(resolve))
      else if (!signal.aborted) await this.#clock.sleep(restMs, AbortSignal.any([signal, woken.signal]))
    }
  }
}
