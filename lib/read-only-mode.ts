import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { bounded, run } from './databases.ts'
import { GeoError } from './errors.ts'

/**
 * The primary takes no writes of the host: before a planned promotion, so that nothing can be lost with it. Refused are the events of
 * the host, and with them its transactions; what background work writes goes on.
 */

/** A primary that takes no writes of the host. */
export interface ReadOnlyMode {
  readonly sinceMs: number
  /** Every write that was under way has ended, and no other can follow. */
  readonly isSealed: boolean
  readonly message: string | null
}

/** Of geo_nodes. */
export interface ReadOnlyColumns {
  read_only_since: Date | null
  read_only_sealed_at: Date | null
  read_only_message: string | null
}

export function readOnlyModeOf(row: ReadOnlyColumns): ReadOnlyMode | null {
  const { read_only_since: since, read_only_sealed_at: sealedAt, read_only_message: message } = row
  return since && { sinceMs: since.getTime(), isSealed: sealedAt !== null, message }
}

const LOCK_NOT_AVAILABLE = '55P03'
// As long new writers wait to be refused, while one is under way that the lock waits for.
const LOCK_TIMEOUT_MS = 1000
const REST_MS = 500

/** From now on writes of the host are refused, also where this process dies before it is sealed. */
export async function beginReadOnly(main: Knex, message: string | null): Promise<void> {
  await run(
    main,
    `update geo_nodes set read_only_since = coalesce(read_only_since, clock_timestamp()), read_only_sealed_at = null,
       read_only_message = ? where "primary"`,
    [message],
  )
}

/**
 * Waits until every write of the host that was under way has ended, and notes in the same breath that no other can follow: where a
 * replica shows that note, it has all that was written. False where the time was up.
 */
export async function sealReadOnly(
  main: Knex,
  clock: Clock,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const endsAtMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    if (await trySeal(main)) return true
    if (signal.aborted || clock.monotonicMs() >= endsAtMs) return false
    await clock.sleep(REST_MS, signal)
  }
}

async function trySeal(main: Knex): Promise<boolean> {
  try {
    await bounded(main, async (trx) => {
      // Whoever writes an event of the host holds the same, shared: see geo_admit_write.
      await run(trx, `set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
      await run(trx, `select pg_advisory_xact_lock(hashtextextended('geo_host_writes', 0))`)
      const { rows } = await run<{ rows: unknown[] }>(
        trx,
        `update geo_nodes set read_only_sealed_at = clock_timestamp()
         where "primary" and read_only_since is not null returning 1`,
      )
      if (rows.length === 0) throw new GeoError('INVALID_REQUEST', 'Somebody has ended the read-only mode meanwhile')
    })
    return true
  } catch (reason) {
    if ((reason as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return false
    throw reason
  }
}

export async function endReadOnly(main: Knex): Promise<void> {
  await run(
    main,
    'update geo_nodes set read_only_since = null, read_only_sealed_at = null, read_only_message = null where "primary"',
  )
}
