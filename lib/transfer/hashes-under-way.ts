import type { Digest } from '../blob/digest.ts'
import { type Clock, settlesWithin } from '../clock.ts'

export const UNDER_WAY = 'under way'

/** How long the digest of a file is kept for whoever asked for it and has not come back. */
const KEPT_MS = 60_000

interface Hash {
  readonly digest: Promise<Digest | null>
  /** By the monotonic clock; null while it runs. */
  endedAtMs: number | null
}

/**
 * Hashes files of which nobody knows how long they take, for those who cannot wait for an answer that long: who is told `UNDER_WAY` and
 * asks again waits for the same hash, not for another. Each is told once: of the next one who asks, the file is read anew.
 */
export class HashesUnderWay {
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #hashes = new Map<string, Hash>()

  /** `patienceMs`: how long it waits for one before it says `UNDER_WAY`. */
  constructor(clock: Clock, patienceMs: number) {
    this.#clock = clock
    this.#patienceMs = patienceMs
  }

  /** Rejects with what `hash` does. */
  async digestOf(file: string, hash: () => Promise<Digest | null>): Promise<Digest | null | typeof UNDER_WAY> {
    this.#forget()
    const known = this.#hashes.get(file) ?? this.#begin(file, hash)
    if (!(await settlesWithin(this.#clock, known.digest, this.#patienceMs))) return UNDER_WAY
    if (this.#hashes.get(file) === known) this.#hashes.delete(file)
    return known.digest
  }

  #begin(file: string, hash: () => Promise<Digest | null>): Hash {
    const begun: Hash = { digest: hash(), endedAtMs: null }
    const ended = (): void => {
      begun.endedAtMs = this.#clock.monotonicMs()
    }
    begun.digest.then(ended, ended)
    this.#hashes.set(file, begun)
    return begun
  }

  #forget(): void {
    const from = this.#clock.monotonicMs() - KEPT_MS
    for (const [file, { endedAtMs }] of this.#hashes) {
      if (endedAtMs !== null && endedAtMs < from) this.#hashes.delete(file)
    }
  }
}
