import type { ErrorCode } from './errors.ts'
import { messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'

/** What this process has done or seen, by name. Each is told once what it tells of is committed. */
export interface GeoSignals {
  /** On a secondary: an attempt to fetch the file of a record begins. */
  'blob:started': {
    readonly type: string
    readonly id: string
    /**
     * At the first attempt after an event: seconds from the host's transaction on the primary until now, by the clocks of the two
     * databases. Null otherwise.
     */
    readonly waitedSeconds: number | null
  }
  /** On a secondary: the file of a record is in its place and durable. */
  'blob:synced': {
    readonly type: string
    readonly id: string
    readonly key: string
    readonly bytes: number
    /** From the claim of its batch until now. */
    readonly seconds: number
    /** False where the file lay in its place already and was right. */
    readonly fetched: boolean
  }
  /** On a secondary: a batch of blobs was asked of the primary, and what came of it is recorded. */
  'transfer:ended': {
    readonly type: string
    readonly blobs: number
    /** `refused`: the primary is away or asks for patience; `cut`: this process lost its lease or stops. */
    readonly outcome: 'answered' | 'refused' | 'cut'
    readonly seconds: number
  }
  /** The stored bytes are as recorded; on the primary: are recorded, or still as recorded. */
  'blob:verified': {
    readonly type: string
    readonly id: string
    readonly site: 'primary' | 'secondary'
    /** From the claim of its batch until now. */
    readonly seconds: number
    /**
     * On a secondary, the first time after an event: seconds from the host's transaction on the primary until now, by the
     * clocks of the two databases. Null otherwise.
     */
    readonly lagSeconds: number | null
  }
  /** An attempt failed and will be repeated. */
  'blob:failed': {
    readonly type: string
    readonly id: string
    readonly during: 'sync' | 'verification' | 'removal'
    readonly code: ErrorCode
    readonly message: string
    readonly retryInSeconds: number
  }
  /** On a secondary: the record is gone or out of scope, and so are its file and its registry row. */
  'blob:removed': { readonly type: string; readonly id: string }
  /** On a secondary: the primary cannot be reached or asks for patience; nothing is counted as failed meanwhile. */
  'transfers:paused': { readonly code: ErrorCode; readonly message: string }
  'transfers:resumed': { readonly code: ErrorCode }
}

export type GeoSignalName = keyof GeoSignals
export type GeoListener<Name extends GeoSignalName> = (told: GeoSignals[Name]) => unknown

/** Tells whoever listens. What a listener throws, or rejects with, is logged and goes no further. */
export class Signals {
  readonly #logger: LoggerLike
  readonly #listeners = new Map<GeoSignalName, Set<GeoListener<never>>>()

  constructor(logger: LoggerLike) {
    this.#logger = logger
  }

  /** Returns what ends the listening. */
  on<Name extends GeoSignalName>(name: Name, listener: GeoListener<Name>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => void listeners.delete(listener)
  }

  tell<Name extends GeoSignalName>(name: Name, told: GeoSignals[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        const result = (listener as GeoListener<Name>)(told)
        if (result instanceof Promise) result.catch((reason: unknown) => this.#complain(name, reason))
      } catch (reason) {
        this.#complain(name, reason)
      }
    }
  }

  #complain(name: GeoSignalName, reason: unknown): void {
    this.#logger.error({ signal: name, error: messageOf(reason) }, 'A listener of the host failed')
  }
}
