import type { Replicable } from './blob/replicable.ts'

/** Lets the types take turns, and asks the database which of them have work only when none is known to have any. */
export class TypeTurns {
  #waiting: Replicable[] = []

  /**
   * A claim for the type whose turn it is. `waiting` tells which of the types have work, `claim` tries to get some: a type
   * that gives null drops out until it is found waiting again.
   */
  async take<Claim>(
    enabled: readonly Replicable[],
    waiting: (replicables: readonly Replicable[]) => Promise<Replicable[]>,
    claim: (replicable: Replicable) => Promise<Claim | null>,
  ): Promise<Claim | null> {
    this.#waiting = this.#waiting.filter((replicable) => enabled.includes(replicable))
    if (this.#waiting.length === 0 && enabled.length > 0) this.#waiting = await waiting(enabled)
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const claimed = await claim(next)
      if (claimed === null) continue
      this.#waiting.push(next)
      return claimed
    }
    return null
  }
}
