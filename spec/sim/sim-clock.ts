import { ManualClock } from '../../lib/testing/manual-clock.ts'

// Files are dated by the machine.
const BEGINNING_MS = Date.now()

/** The clock of one site: it stands still unless it is moved. */
export class SimClock extends ManualClock {
  #wallMs = 0

  override nowMs(): number {
    return BEGINNING_MS + this.monotonicMs() + this.#wallMs
  }

  /** As if someone set the clock on the wall so far from the true time. */
  setWall(offMs: number): void {
    this.#wallMs = offMs
  }
}
