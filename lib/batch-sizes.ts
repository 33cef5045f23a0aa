// Not the ten of GB.B.4: small files take longer to claim and to mark than to fetch or to hash.
const SMALLEST = 100
// A thousand would hold up the host's requests for too long while they are read and written.
const LARGEST = 400

/**
 * How many records of a type to claim at once. While they are small, claims and marks are what the work costs, and each is
 * cheaper the more it is of; where they are large, or the way is slow, other processes are to get their share, so a batch stays
 * short.
 */
export class BatchSizes {
  readonly #quickMs: number
  readonly #sizes = new Map<string, number>()

  /** A full batch that was done sooner than `quickMs` is too small, one that took longer than four times as long too large. */
  constructor(quickMs: number) {
    this.#quickMs = quickMs
  }

  of(type: string): number {
    return this.#sizes.get(type) ?? SMALLEST
  }

  /** A batch of that type is done. */
  took(type: string, records: number, ms: number): void {
    const size = this.of(type)
    if (ms > 4 * this.#quickMs) this.#sizes.set(type, Math.max(SMALLEST, Math.floor(size / 2)))
    else if (ms < this.#quickMs && records >= size) this.#sizes.set(type, Math.min(LARGEST, size * 2))
  }
}
