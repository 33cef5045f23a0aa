import type { Replicable } from './blob/replicable.ts'
import type { Clock } from './clock.ts'
import { isOfSchema } from './database-failures.ts'

const LOOK_EVERY_MS = 250
/** From so many types on a look costs so much that there are fewer of them. */
const TYPES_AT_ONCE = 20

/**
 * How often work is looked for that no one has told of. A look asks about each type, so with many of them there are fewer looks:
 * what they cost a second stays the same.
 */
export function lookEveryMs(types: number): number {
  return LOOK_EVERY_MS * Math.max(1, types / TYPES_AT_ONCE)
}

/**
 * Where something of one type is missing or not allowed, all are asked one by one. Those that cannot be asked get their turn as
 * well, in which they say why.
 */
async function askedEach(
  enabled: readonly Replicable[],
  waiting: (replicables: readonly Replicable[]) => Promise<Replicable[]>,
): Promise<Replicable[]> {
  try {
    return await waiting(enabled)
  } catch (reason) {
    if (!isOfSchema(reason) || enabled.length === 1) throw reason
  }
  const found: Replicable[] = []
  for (const replicable of enabled) {
    try {
      found.push(...(await waiting([replicable])))
    } catch (reason) {
      if (!isOfSchema(reason)) throw reason
      found.push(replicable)
    }
  }
  return found
}

/**
 * Lets the types take turns: in each round, every type that has work gets one. Which those are the database is asked at the
 * beginning of a round, so a type with an endless backlog keeps no other from being found. Rounds that follow at once are of the
 * types whose claim was full in the one before: where few of many types have any, a claim would otherwise cost less than the look for
 * it; and a claim that finds nothing costs more.
 */
export class TypeTurns {
  readonly #clock: Clock
  #round: Replicable[] = []
  /** Which of the round had more than they gave. */
  #had: Replicable[] = []
  #lookedAtMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * A claim for the type whose turn it is. `waiting` tells which of the types have work, `claim` tries to get some, `isFull` says
   * that it got as much as it had asked for.
   */
  async take<Claim>(
    enabled: readonly Replicable[],
    waiting: (replicables: readonly Replicable[]) => Promise<Replicable[]>,
    claim: (replicable: Replicable) => Promise<Claim | null>,
    isFull: (claim: Claim) => boolean,
  ): Promise<Claim | null> {
    const claimed = (await this.#next(enabled, claim, isFull)) ?? (await this.#again(enabled, claim, isFull))
    if (claimed !== null || enabled.length === 0) return claimed
    this.#lookedAtMs = this.#clock.monotonicMs()
    this.#begin(await askedEach(enabled, waiting))
    return this.#next(enabled, claim, isFull)
  }

  /** A round without a look, while the last one is recent. */
  async #again<Claim>(
    enabled: readonly Replicable[],
    claim: (replicable: Replicable) => Promise<Claim | null>,
    isFull: (claim: Claim) => boolean,
  ): Promise<Claim | null> {
    if (this.#clock.monotonicMs() - this.#lookedAtMs >= lookEveryMs(enabled.length)) return null
    this.#begin(this.#had)
    return this.#next(enabled, claim, isFull)
  }

  #begin(round: readonly Replicable[]): void {
    this.#round = [...round]
    this.#had = []
  }

  async #next<Claim>(
    enabled: readonly Replicable[],
    claim: (replicable: Replicable) => Promise<Claim | null>,
    isFull: (claim: Claim) => boolean,
  ): Promise<Claim | null> {
    for (let next = this.#round.shift(); next; next = this.#round.shift()) {
      if (!enabled.includes(next)) continue
      const claimed = await claim(next)
      if (claimed !== null) {
        if (isFull(claimed)) this.#had.push(next)
        return claimed
      }
    }
    return null
  }
}
