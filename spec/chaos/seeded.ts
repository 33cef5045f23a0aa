import { createCipheriv, createHash } from 'node:crypto'

/** The same numbers for the same seed; each part of a run draws from a stream of its own, named by what it is for. */
export class Seeded {
  readonly #seed: string
  #count = 0

  constructor(seed: string | number) {
    this.#seed = String(seed)
  }

  stream(name: string): Seeded {
    return new Seeded(`${this.#seed}/${name}`)
  }

  /** In [0, 1). */
  next(): number {
    this.#count += 1
    return createHash('sha256').update(`${this.#seed}#${this.#count}`).digest().readUInt32BE(0) / 2 ** 32
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least)
  }

  /** As many small ones as large ones, by orders of magnitude. */
  logUniform(least: number, most: number): number {
    return Math.round(Math.exp(this.between(Math.log(least), Math.log(most))))
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  of<Value>(values: readonly Value[]): Value {
    const value = values[this.below(values.length)]
    if (value === undefined) throw new Error('There is nothing to choose from')
    return value
  }

  shuffled<Value>(values: readonly Value[]): Value[] {
    return values
      .map((value) => ({ value, place: this.next() }))
      .sort((one, other) => one.place - other.place)
      .map(({ value }) => value)
  }
}

/** Bytes that look random, and are the same for the same name. */
export function seededBytes(name: string, count: number): Buffer {
  const key = createHash('sha256').update(name).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(count))
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
