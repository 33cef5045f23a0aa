import type { Knex } from 'knex'
import { stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import { VERIFICATION_STATE as V } from './verification-state.ts'

/** A file of the primary whose verification failed. */
export interface FailedFile {
  readonly id: string
  readonly message: string
  /** ISO 8601. */
  readonly at: string | null
}

/** The next failed files in key order, by the index on failed ones. */
export function failedFiles(
  main: Knex,
  replicable: Replicable,
  { after, limit }: { after: string | null; limit: number },
): Promise<FailedFile[]> {
  const { table, key } = stateTableOf(replicable)
  return bounded(main, async (trx) => {
    const { rows } = await run<{ rows: FailedFile[] }>(
      trx,
      `select ??::text as "id", coalesce(verification_failure, '') as "message",
         ${isoTime('verification_started_at')} as "at"
       from ?? where verification_state = ${V.failed} and (?::${replicable.keyType} is null or ?? > ?::${replicable.keyType})
       order by ??.?? limit ?`,
      [key, table, after, key, after, table, key, limit],
    )
    return rows
  })
}
