import { createHash, randomInt } from 'node:crypto'

/** `GEO_SEED`, to see a run again, or any. */
export function seedOfRun(): number {
  return Number(process.env['GEO_SEED'] ?? randomInt(1_000_000))
}

/** The same numbers for the same seed. */
export class Draw {
  readonly #seed: number
  #count = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  below(limit: number): number {
    this.#count += 1
    const digest = createHash('sha256').update(`${this.#seed}/${this.#count}`).digest()
    return digest.readUInt32BE(0) % limit
  }

  of<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value
  }

  some(most: number, make: () => string, between = '/'): string {
    return Array.from({ length: 1 + this.below(most) }, make).join(between)
  }
}
