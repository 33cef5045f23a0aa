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

/** Above the largest file of any fault, so that no two places in one are alike. */
const POOL_BYTES = 32 * 1024 * 1024
const FIRST_BYTES = 32
let pool: Buffer<ArrayBuffer> | null = null

/** Bytes that look random, and are the same for the same name. */
export function seededBytes(name: string, count: number): Buffer {
  return Buffer.concat(seededPieces(name, count))
}

/**
 * The same in pieces, which nobody must change: where each file of ten thousand has memory of its own, getting it costs more than
 * all else that a host does. They begin with a hash of the name, and go on with what lies from some place on in one pool for all.
 */
export function seededPieces(name: string, count: number): Buffer[] {
  const first = createHash('sha256').update(name).digest()
  pool ??= createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(POOL_BYTES))
  const pieces: Buffer[] = [first.subarray(0, count)]
  let from = first.readUInt32BE(0) % POOL_BYTES
  for (let left = count - FIRST_BYTES; left > 0; ) {
    const piece = pool.subarray(from, from + left)
    pieces.push(piece)
    left -= piece.length
    from = 0
  }
  return pieces
}

export function sha256Of(...pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}
