import type { Response } from 'express'
import { GeoError } from '../errors.ts'
import type { Site } from '../site-table.ts'
import { whenGone } from './when-gone.ts'

const RETRY_AFTER_S = '2'

/**
 * How many requests for blobs this process answers each site at once. A site keeps to its capacity by itself; the margin is for what it
 * does not count: people who read there what it has not got yet, and ends that were not noticed here.
 */
export class OpenAnswers {
  readonly #margin: number
  readonly #open = new Map<string, number>()

  constructor(margin: number) {
    this.#margin = margin
  }

  /**
   * Counts the answer until it ends, or nobody is left to take it.
   * @throws GeoError `TOO_MANY_TRANSFERS`
   */
  admit({ id, name, filesMaxCapacity }: Site, response: Response): void {
    const open = this.#open.get(id) ?? 0
    if (open >= filesMaxCapacity + this.#margin) {
      response.set('retry-after', RETRY_AFTER_S)
      throw new GeoError('TOO_MANY_TRANSFERS', `The site "${name}" is answered ${open} requests for blobs already`)
    }
    this.#open.set(id, open + 1)
    whenGone(response, () => {
      const left = (this.#open.get(id) ?? 1) - 1
      if (left > 0) this.#open.set(id, left)
      else this.#open.delete(id)
    })
  }
}
