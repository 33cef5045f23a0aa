import { setTimeout as sleep } from 'node:timers/promises'

/** Of all looks so many must succeed, or what they saw is no evidence. */
const LEAST_SHARE = 0.5

/**
 * Looks at something again and again until it is ended. A look that fails is no reason to look away: it is counted, and said at the
 * end.
 */
export class Looking {
  readonly #what: string
  readonly #everyMs: number
  readonly #say: (text: string) => void
  readonly #look: () => Promise<void>
  readonly #running: Promise<void>
  #isOver = false
  #looks = 0
  #failures = 0
  #lastFailure: unknown = null

  constructor(what: string, everyMs: number, say: (text: string) => void, look: () => Promise<void>) {
    this.#what = what
    this.#everyMs = everyMs
    this.#say = say
    this.#look = look
    this.#running = this.#goOn()
  }

  /** Ends it after one more look. Throws where most looks have failed. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#running
    if (this.#failures === 0) return
    const text = `${this.#failures} of ${this.#looks} looks at ${this.#what} failed`
    this.#say(`${text}, the last for: ${String(this.#lastFailure)}`)
    if (this.#failures > (1 - LEAST_SHARE) * this.#looks) throw new Error(text, { cause: this.#lastFailure })
  }

  async #goOn(): Promise<void> {
    for (let isLast = false; !isLast; ) {
      isLast = this.#isOver
      this.#looks += 1
      try {
        await this.#look()
      } catch (reason) {
        this.#failures += 1
        this.#lastFailure = reason
      }
      if (!isLast) await sleep(this.#everyMs)
    }
  }
}
