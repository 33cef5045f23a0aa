import { createHash } from 'node:crypto'

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
