import type { Knex } from 'knex'
import { run } from './databases.ts'

/** Shorter than PostgreSQL waits before it looks for a deadlock, so that the other is never the one that is ended. */
const LONGEST_WAIT_MS = 300

/**
 * Until the end of the transaction no statement waits longer for what others have locked: it fails with 55P03. For whoever would keep
 * others waiting meanwhile with what it has locked already.
 */
export async function giveWay(trx: Knex.Transaction): Promise<void> {
  await run(trx, `set local lock_timeout = ${LONGEST_WAIT_MS}`)
}
