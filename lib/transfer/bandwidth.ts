import type { Knex } from 'knex'
import type { Clock } from '../clock.ts'
import { run } from '../databases.ts'

/** So much of the site's bandwidth a process takes at once: the database is asked a few times a second, whatever the rate. */
const STEP_SECONDS = 0.25
// A process that asks a little late, for its machine is busy, gets the time that nobody used meanwhile.
const LATE_MS = 100
const RETRY_MS = 1000

interface Waiting {
  readonly bytes: number
  readonly signal: AbortSignal
  grant(bytes: number): void
}

/**
 * What a site may receive, shared by all its processes: time on the line is booked in one row of the tracking database, on
 * its clock. While there is no limit nothing is asked.
 */
export class Bandwidth {
  readonly #db: Knex
  readonly #clock: Clock
  /** Bytes a second, 0 for unlimited; shared with the transfer threads. */
  readonly rate = new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT))
  readonly #waiting: Waiting[] = []
  #granting = false
  #booked = 0
  #changed = new AbortController()

  constructor(db: Knex, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** Sets the limit; transfers that run follow at once, also those that wait. Null is unlimited. */
  limit(bytesPerSecond: number | null): void {
    const rate = bytesPerSecond ?? 0
    if (this.rate[0] === rate) return
    this.rate[0] = rate
    this.#booked = 0
    this.#changed.abort()
    this.#changed = new AbortController()
  }

  /** Resolves with `bytes` once they may have come, or as soon as the signal aborts. First come, first served. */
  take(bytes: number, signal: AbortSignal): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.push({ bytes, signal, grant: resolve })
      void this.#grantAll()
    })
  }

  /** Bytes that were taken and did not come after all. */
  giveBack(bytes: number): void {
    this.#booked += bytes
  }

  async #grantAll(): Promise<void> {
    if (this.#granting) return
    this.#granting = true
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const rate = this.rate[0] ?? 0
      if (rate === 0 || next.signal.aborted || this.#booked >= next.bytes) {
        if (rate > 0 && !next.signal.aborted) this.#booked -= next.bytes
        this.#waiting.shift()
        next.grant(next.bytes)
      } else await this.#book(Math.max(next.bytes - this.#booked, rate * STEP_SECONDS), rate)
    }
    this.#granting = false
  }

  async #book(bytes: number, rate: number): Promise<void> {
    const { signal } = this.#changed
    try {
      const waitMs = await bookLine(this.#db, rate, (bytes / rate) * 1000)
      await this.#clock.sleep(waitMs, signal)
      // What was booked under another limit is forgotten, here as in the database.
      if (!signal.aborted) this.#booked += bytes
    } catch {
      // The database is away. Nothing can be marked then either, so transfers may wait; their leases bound how long.
      await this.#clock.sleep(RETRY_MS, signal)
    }
  }
}

/**
 * Books the line for so long, after all that is booked already under the same limit. Returns how many milliseconds until it
 * begins.
 */
async function bookLine(db: Knex, rate: number, forMs: number): Promise<number> {
  const { rows } = await run<{ rows: { wait: number }[] }>(
    db,
    `insert into geo_bandwidth as b (id, bytes_per_second, booked_until)
     values (1, ?, clock_timestamp() + ? * interval '1 ms')
     on conflict (id) do update
       set booked_until = greatest(
             case when b.bytes_per_second = excluded.bytes_per_second then b.booked_until end,
             clock_timestamp() - ? * interval '1 ms'
           ) + ? * interval '1 ms',
           bytes_per_second = excluded.bytes_per_second
     returning extract(epoch from booked_until - ? * interval '1 ms' - clock_timestamp())::float8 * 1000 as wait`,
    [rate, forMs, LATE_MS, forMs, forMs],
  )
  return Math.max(0, rows[0]?.wait ?? 0)
}
