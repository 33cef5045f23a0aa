import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { SYNC_STATE as S } from './sync-state.ts'

/** Copies that failed with one code. */
export interface CodeCount {
  /** Null where the rows have none. */
  readonly code: string | null
  /** Whose sync failed: they are fetched again. */
  readonly toFetch: number
  /** Whose verification failed while the copy counts as synced: they are hashed again. */
  readonly toHash: number
  readonly newest: { readonly id: string; readonly message: string | null; readonly at: string | null }
}

const ROWS_PER_PAGE = 100_000

/**
 * Counts a type's failed copies by code. No index leads to codes, so the registry is read once, page by page: each statement is
 * bounded, the whole takes about as long as gathering a status.
 */
export async function* countCodes(tracking: Knex, replicable: Replicable, rowsPerPage = ROWS_PER_PAGE) {
  for (let after: string | null = '0'; after !== null; ) {
    const page: { last: string | null; groups: CodeCount[] } = await countPage(tracking, replicable, after, rowsPerPage)
    yield page.groups
    after = page.last
  }
}

async function countPage(tracking: Knex, { names }: Replicable, after: string, limit: number) {
  return bounded(tracking, async (trx) => {
    const { rows } = await run<{ rows: { last: string | null; groups: CodeCount[] }[] }>(
      trx,
      `with page as materialized (
         select id, ??::text as record_id, state, verification_state, removal_requested_at, error_code,
           coalesce(last_sync_failure, verification_failure) as message,
           greatest(last_synced_at, verification_started_at) as at
         from ?? where id > ?::bigint order by id limit ?
       ), failed as (
         select *, state <> ${S.failed} as hash from page
         where removal_requested_at is null
           and (state = ${S.failed} or (state = ${S.synced} and verification_state = ${V.failed}))
       ), newest as (
         select distinct on (error_code) error_code, record_id, message, at from failed order by error_code, at desc nulls last
       )
       select (select max(id)::text from page) as last,
         (select coalesce(jsonb_agg(jsonb_build_object('code', g.error_code, 'toFetch', g.to_fetch, 'toHash', g.to_hash,
            'newest', jsonb_build_object('id', n.record_id, 'message', n.message,
              'at', ${isoTime('n.at')}))), '[]')
          from (select error_code, count(*) filter (where not hash) as to_fetch, count(*) filter (where hash) as to_hash
                from failed group by error_code) as g
          join newest n on n.error_code is not distinct from g.error_code) as groups`,
      [names.foreignKey, names.registryTable, after, limit],
    )
    return rows[0] ?? { last: null, groups: [] }
  })
}
