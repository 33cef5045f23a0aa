import type { Knex } from 'knex'
import { run } from '../databases.ts'

/**
 * Rows may share a file. Whether one of them still needs it is known only once those that are just getting it have been marked,
 * so files get their names, any number of batches at a time, or lose them. Each lock lasts to the end of the transaction and is
 * taken before any lock of a registry row.
 */

const LOCK = `hashtextextended('geo_files', 0)`

/** For as long as files get their names and rows are marked as having them. */
export async function lockForPlacing(trx: Knex.Transaction): Promise<void> {
  await run(trx, `select pg_advisory_xact_lock_shared(${LOCK})`)
}

/** For as long as it is asked who needs a file, and files are removed. */
export async function lockForRemoving(trx: Knex.Transaction): Promise<void> {
  await run(trx, `select pg_advisory_xact_lock(${LOCK})`)
}
