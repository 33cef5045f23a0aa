import type { Knex } from 'knex'
import type { Lease, Leases } from './lease.ts'

/** The one process of a site that does a certain periodic job; it keeps the lease between runs. */
export class Singleton {
  readonly #kind: string
  readonly #leases: Leases
  #lease: Lease | null = null

  constructor(kind: string, leases: Leases) {
    this.#kind = kind
    this.#leases = leases
  }

  /** The lease, if this process holds it or can get it now. */
  async hold(db: Knex): Promise<Lease | null> {
    if (this.#lease && !this.#lease.signal.aborted) return this.#lease
    this.#lease = await this.#leases.take(db, { kind: this.#kind, capacity: 1 })
    return this.#lease
  }
}
