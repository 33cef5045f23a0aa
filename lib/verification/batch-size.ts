// Not the ten of GB.B.4: small files take longer to claim and to mark than to hash.
const SMALLEST = 100
// A thousand would hold up the host's requests for too long while they are read and written.
const LARGEST = 400
/** A full batch that was done sooner than this is too small, one that took longer than four times as long too large. */
const QUICK_MS = 500

/**
 * How many records of a type to claim at once. While they are small, claims and marks are what verification costs, and each is
 * cheaper the more it is of; where they are large, other processes are to get their share, so a batch stays short.
 */
export class BatchSizes {
  readonly #sizes = new Map<string, number>()

  of(type: string): number {
    return this.#sizes.get(type) ?? SMALLEST
  }

  /** A batch of that type is done. */
  took(type: string, records: number, ms: number): void {
    const size = this.of(type)
    if (ms > 4 * QUICK_MS) this.#sizes.set(type, Math.max(SMALLEST, Math.floor(size / 2)))
    else if (ms < QUICK_MS && records >= size) this.#sizes.set(type, Math.min(LARGEST, size * 2))
  }
}
