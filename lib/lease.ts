import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { isOfSchema, passesByItself } from './database-failures.ts'
import { bounded, run } from './databases.ts'
import { GeoError } from './errors.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** A process renews its leases this often. */
export const HEARTBEAT_EVERY_MS = 5000
/** A lease that was not renewed ends after this time, on the database's clock. */
export const LEASE_MS = 20_000
// A connection that has gone silent is given up and the next attempt gets another, while there is still time for it.
const RENEWAL_TIMEOUT_MS = 4000
// What a transfer gets to notice that its lease is about to end, on this process's own clock.
const CUT_BEFORE_END_MS = 2000

/** A claim on work, or on a periodic job, that ends by itself when its process dies. */
export interface Lease {
  readonly id: string
  /** Aborts with `LEASE_LOST` before the lease can end unrenewed: whatever runs under it must stop by then. */
  readonly signal: AbortSignal
  /** The same moment as `process.hrtime.bigint()`, shared: a thread knows it without a message. Zero once aborted. */
  readonly endsAt: BigInt64Array
}

export interface LeaseRequest {
  readonly kind: string
  /** How many live leases of this kind there may be at once, over all processes of the site. */
  readonly capacity: number
}

/** Whether the lease lives for certain: also right after the whole process was stopped for a while, before its timers run. */
export function isLive({ signal, endsAt }: Lease): boolean {
  return !signal.aborted && process.hrtime.bigint() < Atomics.load(endsAt, 0)
}

interface Held {
  readonly controller: AbortController
  readonly endsAt: BigInt64Array
  endsAtMs: number
}

/**
 * One holder of leases in the site's writable database. Limits are exact: a lease is given under a lock of its kind, counting
 * those that live, on the database's clock.
 */
export class Leases {
  readonly #clock: Clock
  readonly #holder: string
  readonly #process: ProcessIdentity | null
  readonly #held = new Map<string, Held>()
  readonly #abandoned = new Set<string>()
  /** Why the last renewal was not answered; null once one is. */
  #unrenewed: unknown = null
  #stopped = false

  /** `process`: by which others on its host see that it has ended, before its leases end by themselves. */
  constructor(holder: string, clock: Clock, process: ProcessIdentity | null = null) {
    this.#holder = holder
    this.#clock = clock
    this.#process = process
  }

  /** A lease, or null where the capacity is used up. */
  async take(db: Knex, request: LeaseRequest): Promise<Lease | null> {
    const askedAtMs = this.#clock.monotonicMs()
    const id = await this.#acquired(db, request, async (_, id) => id)
    return id === null ? null : this.keep(id, askedAtMs)
  }

  /** A lease inside the caller's transaction, or null where the capacity is used up. Call `keep` once it is committed. */
  async acquire(trx: Knex.Transaction, { kind, capacity }: LeaseRequest): Promise<string | null> {
    const { host = null, pid = null, started = null } = this.#process ?? {}
    await run(trx, 'select pg_advisory_xact_lock(hashtextextended(?, 0))', [`geo_leases:${kind}`])
    const { rows } = await run<{ rows: { id: string }[] }>(
      trx,
      `insert into geo_leases (kind, holder, holder_host, holder_pid, holder_started, expires_at)
       select ?, ?, ?, ?, ?, clock_timestamp() + ? * interval '1 ms'
       where (select count(*) from geo_leases where kind = ? and expires_at > clock_timestamp()) < ?
       returning id::text as id`,
      [kind, this.#holder, host, pid, started, LEASE_MS, kind, capacity],
    )
    return rows[0]?.id ?? null
  }

  /**
   * A lease together with the records it is for, so that another process can take exactly those up. `claim` marks rows in
   * the transaction of the lease; where it finds none there is no lease either.
   */
  async claim<Row extends { readonly id: string }>(
    db: Knex,
    request: LeaseRequest,
    replicableName: string,
    claim: (trx: Knex.Transaction, leaseId: string) => Promise<readonly Row[]>,
  ): Promise<{ lease: Lease; rows: readonly Row[] } | null> {
    const askedAtMs = this.#clock.monotonicMs()
    const claimed = await this.#acquired(db, request, async (trx, id) => {
      const rows = await claim(trx, id)
      await (rows.length > 0
        ? run(trx, 'update geo_leases set replicable_name = ?, record_ids = ? where id = ?', [
            replicableName,
            rows.map((row) => row.id),
            id,
          ])
        : run(trx, 'delete from geo_leases where id = ?', [id]))
      return rows.length > 0 ? { id, rows } : null
    })
    return claimed && { lease: this.keep(claimed.id, askedAtMs), rows: claimed.rows }
  }

  /** In a transaction that fails, the lease may have been committed all the same: then nobody works under it. */
  async #acquired<Result>(
    db: Knex,
    request: LeaseRequest,
    use: (trx: Knex.Transaction, id: string) => Promise<Result>,
  ): Promise<Result | null> {
    let id: string | null = null
    try {
      return await bounded(db, async (trx) => {
        id = await this.acquire(trx, request)
        return id === null ? null : use(trx, id)
      })
    } catch (reason) {
      if (id !== null) this.#abandoned.add(id)
      throw reason
    }
  }

  /** Begins to renew an acquired lease. `acquiredAtMs` is the monotonic time from before it was asked for. */
  keep(id: string, acquiredAtMs: number): Lease {
    const controller = new AbortController()
    const endsAt = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
    const held = { controller, endsAt, endsAtMs: 0 }
    this.#extend(held, acquiredAtMs)
    this.#held.set(id, held)
    // What was claimed while the process was told to stop is given back with the rest.
    if (this.#stopped) this.cutAll()
    return { id, signal: controller.signal, endsAt }
  }

  #extend(held: Held, askedAtMs: number): void {
    held.endsAtMs = askedAtMs + LEASE_MS
    const leftMs = held.endsAtMs - CUT_BEFORE_END_MS - this.#clock.monotonicMs()
    Atomics.store(held.endsAt, 0, process.hrtime.bigint() + BigInt(Math.round(leftMs * 1e6)))
  }

  /**
   * Locks the lease until the end of the transaction if it is still alive: what is written in that transaction is written by
   * its rightful holder. False where it has ended. The lock keeps the lease from being taken over, not from being renewed:
   * one batch that is long in committing must not cost its process the leases of all others.
   */
  async hold(trx: Knex.Transaction, lease: Lease): Promise<boolean> {
    if (!isLive(lease)) return false
    const { rows } = await run<{ rows: unknown[] }>(
      trx,
      'select 1 from geo_leases where id = ? and expires_at > clock_timestamp() for key share',
      [lease.id],
    )
    return rows.length > 0
  }

  /**
   * Notes which names the files of its records are about to get, in the order of the records: a process that dies between the name
   * and the mark would leave files that nobody knows of. Null for a record without one.
   */
  async noteFiles(db: Knex, lease: Lease, keys: readonly (string | null)[]): Promise<void> {
    await run(db, 'update geo_leases set file_keys = ? where id = ?', [keys, lease.id])
  }

  /** Gives the lease back, inside the transaction that ends its work. */
  async release(db: Knex, lease: Lease): Promise<void> {
    await run(db, 'delete from geo_leases where id = ?', [lease.id])
  }

  /** How many it renews now. */
  get heldCount(): number {
    return this.#held.size
  }

  /**
   * Works under the lease to the end, and stops renewing it. Where it fails for what is no fault of its records, a database that is
   * away or refuses for what is missing, or where the lease was cut because that did not answer, the lease is abandoned.
   */
  async working<Result>(lease: Lease, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (reason) {
      if (passesByItself(reason) || isOfSchema(reason)) this.#abandoned.add(lease.id)
      throw reason
    } finally {
      const cut: { readonly cause?: unknown } | undefined = lease.signal.reason
      if (passesByItself(cut?.cause)) this.#abandoned.add(lease.id)
      this.forget(lease)
    }
  }

  /** As `working`, and gives the lease back at its end, whatever that is. */
  workingAlone<Result>(db: Knex, lease: Lease, work: () => Promise<Result>): Promise<Result> {
    return this.working(lease, async () => {
      const result = await work().catch(async (reason: unknown) => {
        // Why the work failed is what is told; a lease that cannot be given back for the same reason is given back later.
        await this.release(db, lease).catch(() => this.#abandoned.add(lease.id))
        throw reason
      })
      await this.release(db, lease)
      return result
    })
  }

  /** Leases under which this process works no more, and which it could not give back: they may be there, until they end. */
  get abandoned(): readonly string[] {
    return [...this.#abandoned].filter((id) => !this.#held.has(id))
  }

  /** They are there no more. */
  gone(ids: readonly string[]): void {
    for (const id of ids) this.#abandoned.delete(id)
  }

  /** Stops renewing: after the transaction that released it, or when its work has failed. */
  forget(lease: Lease): void {
    this.#held.delete(lease.id)
  }

  /** Renews every lease of this process; those that could not be renewed abort. */
  async heartbeat(db: Knex): Promise<void> {
    const ids = [...this.#held.keys()]
    if (ids.length === 0) return
    const askedAtMs = this.#clock.monotonicMs()
    const renewing = run<{ rows: { id: string }[] }>(
      db,
      `update geo_leases set expires_at = clock_timestamp() + ? * interval '1 ms'
       where id = any(?::bigint[]) and holder = ? and expires_at > clock_timestamp() returning id::text as id`,
      // A site that was promoted meanwhile writes another database, in which these numbers are others' leases.
      [LEASE_MS, ids, this.#holder],
      { timeoutMs: RENEWAL_TIMEOUT_MS },
    )
    const { rows } = await renewing.catch((reason: unknown) => {
      this.#unrenewed = reason
      throw reason
    })
    this.#unrenewed = null
    const renewed = new Set(rows.map((row) => row.id))
    for (const id of ids) {
      const held = this.#held.get(id)
      if (!held) continue
      if (renewed.has(id)) this.#extend(held, askedAtMs)
      else this.#cut(id, held, 'was not there to be renewed')
    }
  }

  /** Aborts what runs under leases that are about to end; called every second, also while the database does not answer. */
  cutExpiring(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [id, held] of this.#held) {
      if (nowMs >= held.endsAtMs - CUT_BEFORE_END_MS)
        this.#cut(id, held, 'could not be renewed in time', this.#unrenewed)
    }
  }

  #cut(id: string, held: Held, why: string, cause: unknown = null): void {
    this.#held.delete(id)
    Atomics.store(held.endsAt, 0, 0n)
    held.controller.abort(new GeoError('LEASE_LOST', `Lease ${id} ${why}`, { cause }))
  }

  /** Cuts everything that runs, and will run, under a lease of this process: for stop. */
  cutAll(): void {
    this.#stopped = true
    for (const [id, held] of this.#held) this.#cut(id, held, 'is given back: this process stops')
  }

  /** What others see this process by, as its leases say. */
  get process(): ProcessIdentity | null {
    return this.#process
  }

  /** Which leases are this process's own. */
  get holder(): string {
    return this.#holder
  }
}
