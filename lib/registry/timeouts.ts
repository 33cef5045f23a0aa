import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { anyOf, run } from '../databases.ts'
import type { MovedRow } from '../transition-log.ts'
import type { TimedOut } from '../verification/timed-out.ts'
import { VERIFICATION } from '../verification/verification-state.ts'
import { earlier } from './removal.ts'
import { SYNC } from './sync-state.ts'
import { UNHELD } from './unheld.ts'

/**
 * The last net (GB.A.6, GB.B.5): rows that have been started for hours without a lease, which nothing but a lost lease can
 * explain. Work under a lease is never touched, and neither is a cause that is known already.
 */

const SYNC_FAILS = SYNC.step('started', 'failed')
const VERIFICATION_FAILS = VERIFICATION.step('started', 'failed')
const RETURNING = 'returning r.??::text as "id", r.id::text as "registryId"'

/** Fails up to `limit` attempts to fetch that began longer ago than `timeoutMs`. Returns them. */
export async function failTimedOutSyncs(
  db: Knex,
  { names }: Replicable,
  { timeoutMs, retryInSeconds, limit }: TimedOut,
): Promise<MovedRow[]> {
  const { rows } = await run<{ rows: MovedRow[] }>(
    db,
    `with late as materialized (
       select id from ?? where ${SYNC_FAILS.where} and last_synced_at < clock_timestamp() - ? * interval '1 ms' and ${UNHELD}
       limit ? for update skip locked
     )
     update ?? as r set ${SYNC_FAILS.set}, lease_id = null, last_sync_failure = coalesce(${earlier('last_sync_failure')}, ?),
       error_code = coalesce(${earlier('error_code')}, 'TIMED_OUT'), retry_count = least(r.retry_count + 1, ${HIGHEST_RETRY_COUNT}),
       retry_at = clock_timestamp() + ? * interval '1 second'
     from late where r.id = late.id and r.id = ${anyOf('late')} ${RETURNING}`,
    [
      names.registryTable,
      timeoutMs,
      limit,
      names.registryTable,
      `Sync timed out after ${Math.floor(timeoutMs / 1000)}`,
      retryInSeconds,
      names.foreignKey,
    ],
  )
  return rows
}

/** Fails up to `limit` verifications that began longer ago than `timeoutMs`, and their sync with them (GB.A.4). Returns them. */
export async function failTimedOutVerifications(
  db: Knex,
  { name, names }: Replicable,
  { timeoutMs, retryInSeconds, limit }: TimedOut,
): Promise<MovedRow[]> {
  const { rows } = await run<{ rows: MovedRow[] }>(
    db,
    `with late as materialized (
       select id, coalesce(verification_failure, ?) as failure from ?? r
       where ${VERIFICATION_FAILS.where} and verification_started_at < clock_timestamp() - ? * interval '1 ms'
         and ${SYNC.step('synced', 'failed').where}
         and not exists (select from geo_leases l where l.replicable_name = ? and r.??::text = any(l.record_ids))
       limit ? for update skip locked
     )
     update ?? as r set ${VERIFICATION_FAILS.set}, verification_failure = late.failure, verified_at = clock_timestamp(),
       verification_checksum = null,
       verification_retry_count = least(r.verification_retry_count + 1, ${HIGHEST_RETRY_COUNT}),
       verification_retry_at = clock_timestamp() + ? * interval '1 second',
       ${SYNC.step('synced', 'failed').set}, error_code = coalesce(${earlier('error_code')}, 'TIMED_OUT'),
       last_sync_failure = left('Verification failed with: ' || late.failure, 255),
       retry_count = least(r.verification_retry_count + 1, ${HIGHEST_RETRY_COUNT}),
       retry_at = clock_timestamp() + ? * interval '1 second'
     from late where r.id = late.id and r.id = ${anyOf('late')} ${RETURNING}`,
    [
      `Verification timed out after ${Math.floor(timeoutMs / 1000)}`,
      names.registryTable,
      timeoutMs,
      name,
      names.foreignKey,
      limit,
      names.registryTable,
      retryInSeconds,
      retryInSeconds,
      names.foreignKey,
    ],
  )
  return rows
}
