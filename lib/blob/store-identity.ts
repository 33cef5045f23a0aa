import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { Replicable } from './replicable.ts'
import { recordedStore, recordStore } from './store-table.ts'

const CHECK_EVERY_MS = 1000

/**
 * Knows whether the folder behind a replicable is the one that this site has always used. The id of the store lies in a
 * marker file in its root and in the site's writable database (`geo_stores`); work on the store pauses while they differ.
 */
export class StoreIdentities {
  readonly #clock: Clock
  readonly #ids = new Map<string, string>()
  readonly #checks = new Map<string, { atMs: number; problem: Promise<GeoError | null> }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Why no work may be done on this store now, or null. Looked up at most once a second. The first call of a site's life
   * makes the marker.
   */
  async problem(replicable: Replicable, db: Knex, siteName: string): Promise<GeoError | null> {
    const known = this.#checks.get(replicable.name)
    if (known && this.#clock.monotonicMs() - known.atMs < CHECK_EVERY_MS) return known.problem
    return this.problemNow(replicable, db, siteName)
  }

  /** The id of the store that this type was last found to lie in; null where it was not looked at yet. */
  idOf({ name }: Replicable): string | null {
    return this.#ids.get(name) ?? null
  }

  /** The same, looked up anew: before files are removed, for those of another disk could not be brought back. */
  async problemNow(replicable: Replicable, db: Knex, siteName: string): Promise<GeoError | null> {
    const { name } = replicable
    const nowMs = this.#clock.monotonicMs()
    // Kept before it has answered: of two looks side by side the slower one, which saw less, would have the last word.
    const check = { atMs: nowMs, problem: this.#identify(replicable, db, siteName) }
    this.#checks.set(name, check)
    check.problem.catch(() => this.#checks.get(name) === check && this.#checks.delete(name))
    return check.problem
  }

  async #identify(replicable: Replicable, db: Knex, siteName: string): Promise<GeoError | null> {
    const { store, name } = replicable
    try {
      const recorded = await recordedStore(db, name, siteName)
      let marker = await store.readMarker()
      if (!marker && recorded) {
        return new GeoError('STORE_NOT_MOUNTED', `${store.root} has no .geo-store.json; ${name} used store ${recorded}`)
      }
      marker ??= await store.claimMarker({ site: siteName, store: randomUUID() })
      if (marker.site !== siteName) {
        return new GeoError('STORE_NOT_MOUNTED', `${store.root} belongs to the site ${JSON.stringify(marker.site)}`)
      }
      if (recorded ? recorded === marker.store : await recordStore(db, name, siteName, marker.store)) {
        this.#ids.set(name, marker.store)
        return null
      }
      return new GeoError('STORE_NOT_MOUNTED', `${store.root} is another store than ${name} used before`)
    } catch (reason) {
      if (reason instanceof GeoError) return reason
      throw reason
    }
  }
}
