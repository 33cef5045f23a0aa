import type { Clock } from '../clock.ts'

interface Sleeper {
  readonly dueMs: number
  readonly delayMs: number
  wake(): void
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  /** What `random` answers. */
  randomValue = 0
  #nowMs = 0
  readonly #sleepers = new Set<Sleeper>()

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  /** Bound, for it is passed on by itself. */
  readonly random = (): number => this.randomValue

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper: Sleeper = {
        dueMs: this.#nowMs + delayMs,
        delayMs,
        wake: () => {
          this.#sleepers.delete(sleeper)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', sleeper.wake, { once: true })
    })
  }

  /** Goes on and wakes whoever is due by then. */
  advance(byMs: number): void {
    this.#nowMs += byMs
    for (const sleeper of [...this.#sleepers]) if (sleeper.dueMs <= this.#nowMs) sleeper.wake()
  }

  /** How long each of those that sleep now asked to. */
  get sleepingMs(): number[] {
    return [...this.#sleepers].map((sleeper) => sleeper.delayMs)
  }
}
