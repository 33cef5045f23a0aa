import type { Clock } from '../../lib/clock.ts'

// Files are dated by the machine.
const BEGINNING_MS = Date.now()

/** The clock of one site: it stands still unless it is moved, and whoever sleeps has slept at once. */
export class SimClock implements Clock {
  #passedMs = 0
  #wallMs = 0

  nowMs(): number {
    return BEGINNING_MS + this.#passedMs + this.#wallMs
  }

  monotonicMs(): number {
    return this.#passedMs
  }

  random(): number {
    return 0
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (!signal?.aborted) this.pass(delayMs)
  }

  pass(byMs: number): void {
    this.#passedMs += byMs
  }

  /** As if someone set the clock on the wall so far from the true time. */
  setWall(offMs: number): void {
    this.#wallMs = offMs
  }
}
