import { setTimeout as sleepFor } from 'node:timers/promises'

/**
 * Time and chance as the SDK sees them. Everything that waits, measures or draws takes a `Clock`, so a spec never sleeps.
 * Moments that are compared between processes never come from here: they are read from the database (`clock_timestamp()`).
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch: for tokens and log lines only. */
  nowMs(): number
  /** Monotonic time in milliseconds: for deadlines and durations within this process. */
  monotonicMs(): number
  /** Resolves after `delayMs`, or as soon as the signal aborts. Never rejects. Does not keep the process alive. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
  /** A number in [0, 1). */
  random(): number
}

export const systemClock: Clock = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  random: () => Math.random(),
  sleep: (delayMs: number, signal?: AbortSignal) =>
    sleepFor(delayMs, undefined, { ref: false, ...(signal ? { signal } : {}) }).catch((reason: unknown) => {
      if (!signal?.aborted) throw reason
    }),
})

/** Where counting retries ends: the columns are smallint. */
export const HIGHEST_RETRY_COUNT = 32_767

/** Whether the promise settles, well or not, before the time is over. Whatever it rejects with is the caller's. */
export async function settlesWithin(clock: Clock, promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const inTime = new AbortController()
  const settled = promise.then(
    () => true,
    () => true,
  )
  const late = clock.sleep(limitMs, inTime.signal).then(() => false)
  return Promise.race([settled, late]).finally(() => inTime.abort())
}

const ONE_HOUR_S = 3600
/** Longest wait for a blob that the primary says it does not have (GB.A.2), in seconds. */
export const MISSING_ON_PRIMARY_CAP_S = 4 * ONE_HOUR_S

/** Seconds until attempt `n + 1` after `n` failures, before any cap: n⁴ + 15 + r·(n + 1) with r in 0…29 (GB.A.3). */
function delaySeconds(failures: number, random: () => number): number {
  return failures ** 4 + 15 + Math.floor(random() * 30) * (failures + 1)
}

/** Seconds to wait after the given number of failures: the formula of GB.A.3 under a ceiling of `capSeconds` + delay(1). */
export function backoffSeconds(failures: number, random: () => number, capSeconds = ONE_HOUR_S): number {
  return Math.min(delaySeconds(failures, random), capSeconds + delaySeconds(1, random))
}

/** Waits for the promise, but not beyond the signal: then undefined, and whatever becomes of the promise is of no interest. */
export function unlessAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result | undefined> {
  const done = new AbortController()
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true, signal: done.signal })
  })
  return Promise.race([promise, aborted]).finally(() => done.abort())
}
