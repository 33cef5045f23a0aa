import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { bounded } from './databases.ts'
import type { Lease, Leases } from './lease.ts'

/** The one process of a site that does a certain periodic job; it keeps the lease between runs. */
export class Singleton {
  readonly #kind: string
  readonly #leases: Leases
  readonly #clock: Clock
  #lease: Lease | null = null

  constructor(kind: string, leases: Leases, clock: Clock) {
    this.#kind = kind
    this.#leases = leases
    this.#clock = clock
  }

  /** The lease, if this process holds it or can get it now. */
  async hold(db: Knex): Promise<Lease | null> {
    if (this.#lease && !this.#lease.signal.aborted) return this.#lease
    const askedAtMs = this.#clock.monotonicMs()
    const id = await bounded(db, (trx) => this.#leases.acquire(trx, { kind: this.#kind, capacity: 1 }))
    this.#lease = id === null ? null : this.#leases.keep(id, askedAtMs)
    return this.#lease
  }
}
