import type { Knex } from 'knex'
import { run } from '../databases.ts'

/**
 * Rows may share a file. Whether one of them still needs it is known only once those that are just getting it have been marked.
 * So files get names that are free, any number of batches at a time; files are replaced, or removed, by one alone. Each lock
 * lasts to the end of the transaction and is taken before any lock of a registry row.
 */

const LOCK = `hashtextextended('geo_files', 0)`

/**
 * For as long as files get names that nobody has, and rows are marked as having them. What has been found out of such a file
 * stays true until then: nobody else gives it other bytes.
 */
export async function lockForPlacing(trx: Knex.Transaction): Promise<void> {
  await run(trx, `select pg_advisory_xact_lock_shared(${LOCK})`)
}

/** For as long as files are replaced, or it is asked who needs a file and files are removed. All that got a name before is marked by then. */
export async function lockForReplacing(trx: Knex.Transaction): Promise<void> {
  await run(trx, `select pg_advisory_xact_lock(${LOCK})`)
}
