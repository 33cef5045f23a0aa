import type { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'

/** The rows of one pass whose keys the host's `blob` could not say: told once at its end, however many there are. */
export class UnnamedRows {
  #count = 0
  #first: GeoError | null = null

  get count(): number {
    return this.#count
  }

  note(failure: GeoError): void {
    this.#count += 1
    this.#first ??= failure
  }

  /** One line, if there were any. */
  tell(logger: LoggerLike, fields: Readonly<Record<string, unknown>>): void {
    if (this.#first) logger.warn({ code: this.#first.code, ...fields, rows: this.#count }, this.#first.message)
  }
}
