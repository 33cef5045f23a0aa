import type { Replicable } from './blob/replicable.ts'

interface Turn {
  readonly replicable: Replicable
  after: string | null
  failed: boolean
}

/** Walks the pages of several types one after another, a page at a time, and begins anew when asked or when it is time. */
export class KeyPass {
  #queue: Turn[] = []
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
   * pass. A type whose page fails lets the others go first and goes on at that page. True: call again at once.
   */
  async step(
    enabled: readonly Replicable[],
    nowMs: number,
    page: (replicable: Replicable, after: string | null) => Promise<string | null>,
  ): Promise<boolean> {
    // Types that only fail must not keep the others from their next pass.
    const isStuck = this.#queue.every(({ failed }) => failed)
    if (this.#queue.length === 0 || (isStuck && this.#isDue(nowMs))) this.#queue = this.#begin(enabled, nowMs)
    const [turn] = this.#queue
    if (!turn) return false
    const next = enabled.includes(turn.replicable) ? await this.#read(turn, page) : null
    // A restart during the page has emptied the queue: what it read may be of another database.
    if (this.#queue[0] !== turn) return true
    turn.after = next
    if (next === null) this.#queue.shift()
    return this.#queue.length > 0
  }

  async #read(
    turn: Turn,
    page: (replicable: Replicable, after: string | null) => Promise<string | null>,
  ): Promise<string | null> {
    try {
      const next = await page(turn.replicable, turn.after)
      turn.failed = false
      return next
    } catch (reason) {
      turn.failed = true
      if (this.#queue[0] === turn) this.#queue.push(...this.#queue.splice(0, 1))
      throw reason
    }
  }

  #isDue(nowMs: number): boolean {
    return nowMs - this.#beganAtMs >= this.#everyMs
  }

  #begin(enabled: readonly Replicable[], nowMs: number): Turn[] {
    const due = this.#isDue(nowMs)
    if (due) this.#beganAtMs = nowMs
    const fresh = enabled.filter(({ name }) => !this.#seen.has(name))
    this.#seen = new Set(enabled.map(({ name }) => name))
    return (due ? enabled : fresh).map((replicable) => ({ replicable, after: null, failed: false }))
  }
}
