import { ConfigurationError, messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'
import { type GeoSignalName, type GeoSignals, SIGNALS } from './signal-catalogue.ts'

export type { GeoSignalName, GeoSignals } from './signal-catalogue.ts'

export type GeoListener<Name extends GeoSignalName> = (told: GeoSignals[Name]) => unknown

/** Tells whoever listens. What a listener throws, or rejects with, is logged and goes no further. */
export class Signals {
  readonly #logger: LoggerLike
  readonly #listeners = new Map<GeoSignalName, Set<GeoListener<never>>>()

  constructor(logger: LoggerLike) {
    this.#logger = logger
  }

  /**
   * Returns what ends the listening.
   * @throws ConfigurationError `INVALID_OPTIONS` for a name that nothing is told under, or a listener that is no function
   */
  on<Name extends GeoSignalName>(name: Name, listener: GeoListener<Name>): () => void {
    if (!Object.hasOwn(SIGNALS, name)) {
      const names = Object.keys(SIGNALS).join(', ')
      throw new ConfigurationError(
        'INVALID_OPTIONS',
        `geo.on: nothing is told as ${JSON.stringify(name)}, but ${names}`,
      )
    }
    if (typeof listener !== 'function')
      throw new ConfigurationError('INVALID_OPTIONS', `geo.on: the listener of ${name} must be a function`)
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => void listeners.delete(listener)
  }

  tell<Name extends GeoSignalName>(name: Name, told: GeoSignals[Name]): void {
    const listeners = this.#listeners.get(name)
    if (!listeners?.size) return
    // A copy: who begins to listen meanwhile hears from the next time on.
    for (const listener of [...listeners]) {
      try {
        const result = (listener as GeoListener<Name>)(told)
        if (typeof (result as PromiseLike<unknown> | null | undefined)?.then === 'function')
          Promise.resolve(result).catch((reason: unknown) => this.#complain(name, reason))
      } catch (reason) {
        this.#complain(name, reason)
      }
    }
  }

  #complain(name: GeoSignalName, reason: unknown): void {
    this.#logger.error({ signal: name, error: messageOf(reason) }, 'A listener of the host failed')
  }
}
