import type { Replicable } from './blob/replicable.ts'

/**
 * Lets the types take turns: in each round, every type that has work gets one. The database is asked which those are at the
 * beginning of a round, so a type with an endless backlog keeps no other from being found.
 */
export class TypeTurns {
  #round: Replicable[] = []

  /** A claim for the type whose turn it is. `waiting` tells which of the types have work, `claim` tries to get some. */
  async take<Claim>(
    enabled: readonly Replicable[],
    waiting: (replicables: readonly Replicable[]) => Promise<Replicable[]>,
    claim: (replicable: Replicable) => Promise<Claim | null>,
  ): Promise<Claim | null> {
    this.#round = this.#round.filter((replicable) => enabled.includes(replicable))
    const claimed = await this.#next(claim)
    if (claimed !== null || enabled.length === 0) return claimed
    this.#round = await waiting(enabled)
    return this.#next(claim)
  }

  async #next<Claim>(claim: (replicable: Replicable) => Promise<Claim | null>): Promise<Claim | null> {
    for (let next = this.#round.shift(); next; next = this.#round.shift()) {
      const claimed = await claim(next)
      if (claimed !== null) return claimed
    }
    return null
  }
}
