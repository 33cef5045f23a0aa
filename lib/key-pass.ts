import type { Replicable } from './blob/replicable.ts'

/** Walks the pages of several types one after another, a page at a time, and begins anew when asked or when it is time. */
export class KeyPass {
  #queue: Replicable[] = []
  #after: string | null = null
  #beganAtMs = Number.NEGATIVE_INFINITY
  #seen = new Set<string>()
  readonly #everyMs: number

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  /** The next pass begins at once, and from the beginning. */
  restart(): void {
    this.#beganAtMs = Number.NEGATIVE_INFINITY
    this.#queue = []
  }

  /**
   * Does the next page, if there is one now. A type that is enabled for the first time, or again, does not wait for the next
   * pass. True: call again at once.
   */
  async step(
    enabled: readonly Replicable[],
    nowMs: number,
    page: (replicable: Replicable, after: string | null) => Promise<string | null>,
  ): Promise<boolean> {
    if (this.#queue.length === 0) this.#queue = this.#begin(enabled, nowMs)
    const [current] = this.#queue
    if (!current) return false
    const next = enabled.includes(current) ? await page(current, this.#after) : null
    // A restart during the page has emptied the queue: what it read may be of another database.
    if (this.#queue[0] !== current) return true
    this.#after = next
    if (next === null) this.#queue.shift()
    return this.#queue.length > 0
  }

  #begin(enabled: readonly Replicable[], nowMs: number): Replicable[] {
    this.#after = null
    const due = nowMs - this.#beganAtMs >= this.#everyMs
    if (due) this.#beganAtMs = nowMs
    const fresh = enabled.filter(({ name }) => !this.#seen.has(name))
    this.#seen = new Set(enabled.map(({ name }) => name))
    return due ? [...enabled] : fresh
  }
}
