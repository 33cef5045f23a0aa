import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import type { LoggerLike } from '../log.ts'
import type { Signals } from '../signals.ts'
import type { Refusal } from '../transfer/refusal.ts'

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 10_000
/** So long after a pause of a type nothing more is to be asked for of it: nobody knows whether it would be refused. */
const FORGOTTEN_AFTER_MS = 60_000

/** Begun by a refusal: as long as it says, or longer each time. The first answer ends it. */
class Pause {
  readonly #clock: Clock
  #refusals = 0
  #untilMs = Number.NEGATIVE_INFINITY
  refusal: Refusal | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isOver(): boolean {
    return this.#clock.monotonicMs() >= this.#untilMs
  }

  get isForgotten(): boolean {
    return this.#clock.monotonicMs() >= this.#untilMs + FORGOTTEN_AFTER_MS
  }

  begin(refusal: Refusal): void {
    const backoffMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#refusals, LONGEST_PAUSE_MS)
    // Who asks to be left alone for no time at all would be asked again at the speed of our database.
    const restMs = Math.max(FIRST_PAUSE_MS, refusal.retryAfterMs ?? backoffMs)
    // Several transfers end with the same news; it counts once.
    if (this.isOver) this.#refusals += 1
    this.#untilMs = Math.max(this.#untilMs, this.#clock.monotonicMs() + restMs)
    this.refusal = refusal
  }

  end(): void {
    this.refusal = null
    this.#refusals = 0
  }
}

interface Context {
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly signals: Pick<Signals, 'tell'>
}

/** A primary that cannot be reached or asks for patience is left alone: as a whole, or with a type whose store is away there. */
export class Pauses {
  readonly #context: Context
  readonly #ofAll: Pause
  readonly #ofTypes = new Map<string, Pause>()
  /** When the primary answered last. */
  #answeredAtMs = Number.NEGATIVE_INFINITY

  constructor(context: Context) {
    this.#context = context
    this.#ofAll = new Pause(context.clock)
  }

  /** Why all transfers pause now, or else those of a type, or null. */
  get refusal(): Refusal | null {
    if (this.#ofAll.refusal) return this.#ofAll.refusal
    for (const { refusal } of this.#ofTypes.values()) if (refusal) return refusal
    return null
  }

  /** Those of the types that the primary may be asked for now. */
  askable(replicables: readonly Replicable[]): readonly Replicable[] {
    for (const [name, { isForgotten, refusal }] of this.#ofTypes) {
      if (!isForgotten || !refusal) continue
      this.#ofTypes.delete(name)
      this.#context.signals.tell('transfers:resumed', { code: refusal.code, type: name })
    }
    if (!this.#ofAll.isOver) return []
    return replicables.filter(({ name }) => this.#ofTypes.get(name)?.isOver ?? true)
  }

  /** What came of asking for blobs of a type: why it was refused, or null. */
  settle({ name }: Replicable, refusal: Refusal | null, startedAtMs: number): void {
    // A request that was lost with an outage ends long after others are answered again: what it says is past.
    if (refusal?.code === 'PRIMARY_UNREACHABLE' && startedAtMs < this.#answeredAtMs) return
    if (refusal && !refusal.ofType) {
      this.#begin(this.#ofAll, refusal, null)
      return
    }
    this.#answeredAtMs = this.#context.clock.monotonicMs()
    this.#end(this.#ofAll, null)
    const ofType = this.#ofTypes.get(name)
    if (refusal) {
      const pause = ofType ?? new Pause(this.#context.clock)
      this.#ofTypes.set(name, pause)
      this.#begin(pause, refusal, name)
    } else if (ofType) {
      this.#end(ofType, name)
      this.#ofTypes.delete(name)
    }
  }

  #begin(pause: Pause, refusal: Refusal, type: string | null): void {
    const { code, message } = refusal
    const isNews = pause.refusal?.code !== code
    pause.begin(refusal)
    if (!isNews) return
    this.#context.logger.warn({ code, ...(type && { replicable: type }) }, `${message}; transfers pause`)
    this.#context.signals.tell('transfers:paused', { code, message, type })
  }

  #end(pause: Pause, type: string | null): void {
    if (!pause.refusal) return
    const { code } = pause.refusal
    pause.end()
    const fields = { code, ...(type && { replicable: type }) }
    this.#context.logger.info(fields, 'The primary answers again: transfers go on')
    this.#context.signals.tell('transfers:resumed', { code, type })
  }
}
