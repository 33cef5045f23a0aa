import type { Knex } from 'knex'
import { stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { HIGHEST_RETRY_COUNT } from '../clock.ts'
import { anyOf, run } from '../databases.ts'
import type { MovedRow } from '../transition-log.ts'
import { VERIFICATION } from './verification-state.ts'

/** When work counts as lost, and what becomes of it. */
export interface TimedOut {
  readonly timeoutMs: number
  readonly retryInSeconds: number
  /** Rows at once. */
  readonly limit: number
}

const FAILS = VERIFICATION.step('started', 'failed')

/**
 * The last net on the primary (GB.B.5): fails up to `limit` records that have been hashed for longer than `timeoutMs` without a
 * lease. A recorded checksum stays, and so does a cause that is known already. Returns them.
 */
export async function failTimedOutRecords(
  db: Knex,
  replicable: Replicable,
  { timeoutMs, retryInSeconds, limit }: TimedOut,
): Promise<MovedRow[]> {
  const { table, key } = stateTableOf(replicable)
  const { rows } = await run<{ rows: MovedRow[] }>(
    db,
    `with late as materialized (
       select s.?? as id from ?? s where ${FAILS.where} and verification_started_at < clock_timestamp() - ? * interval '1 ms'
         and not exists (select from geo_leases l where l.replicable_name = ? and s.??::text = any(l.record_ids))
       limit ? for update skip locked
     )
     update ?? as s set ${FAILS.set}, verification_failure = coalesce(s.verification_failure, ?),
       verified_at = clock_timestamp(),
       verification_retry_count = least(coalesce(s.verification_retry_count, 0) + 1, ${HIGHEST_RETRY_COUNT}),
       verification_retry_at = clock_timestamp() + ? * interval '1 second'
     from late where s.?? = late.id and s.?? = ${anyOf('late')} returning s.??::text as "id", null as "registryId"`,
    [
      key,
      table,
      timeoutMs,
      replicable.name,
      key,
      limit,
      table,
      `Verification timed out after ${Math.floor(timeoutMs / 1000)}`,
      retryInSeconds,
      key,
      key,
      key,
    ],
  )
  return rows
}
