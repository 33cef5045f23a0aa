import type { Knex } from 'knex'
import { type Digest, decodeDigest, encodeDigest } from '../blob/digest.ts'
import { CORRUPT_PREFIX, stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import { VERIFICATION_STATE as V } from './verification-state.ts'

/** Records of the primary whose file no longer is what its recorded checksum says, or is not there. */
export interface DamagedRecord {
  readonly id: string
  readonly recorded: Digest
}

/**
 * The next `limit` records in key order that failed and have a recorded checksum, or that were called corrupt and wait to be
 * hashed again; of the given ids all that have a recorded checksum.
 */
export async function damagedRecords(
  main: Knex,
  replicable: Replicable,
  { ids, after, limit }: { ids: readonly string[] | null; after: string | null; limit: number },
): Promise<DamagedRecord[]> {
  const { table, key } = stateTableOf(replicable)
  const type = replicable.keyType
  // Each state by itself, for each is in an index of its own.
  const corrupt = `verification_failure like '${CORRUPT_PREFIX}%'`
  const suspect = `(verification_state = ${V.failed} or verification_state = ${V.pending} and ${corrupt}
    or verification_state = ${V.started} and ${corrupt})`
  return bounded(main, async (trx) => {
    const { rows } = await run<{ rows: { id: string; checksum: Buffer }[] }>(
      trx,
      `select ??::text as id, verification_checksum as checksum from ??
       where verification_checksum is not null and ${ids ? `?? = any(?::${type}[])` : suspect}
         and (?::${type} is null or ?? > ?::${type})
       order by ??.?? limit ?`,
      [key, table, ...(ids ? [key, ids] : []), after, key, after, table, key, limit],
    )
    return rows.flatMap(({ id, checksum }) => {
      const recorded = decodeDigest(checksum)
      return recorded ? [{ id, recorded }] : []
    })
  })
}

const MOST_COUNTED = 10_000

/** How many records have failed without a recorded checksum, by which nobody can tell a right copy: up to 10,000. */
export async function unrecordedFailures(main: Knex, replicable: Replicable): Promise<number> {
  const { table } = stateTableOf(replicable)
  return bounded(main, async (trx) => {
    const { rows } = await run<{ rows: { count: number }[] }>(
      trx,
      `select count(*)::int as count from (
         select from ?? where verification_state = ${V.failed} and verification_checksum is null limit ${MOST_COUNTED}
       ) as failed`,
      [table],
    )
    return rows[0]?.count ?? 0
  })
}

/**
 * Locks a record until the end of the transaction if its recorded checksum still is this one: who gives it another file now
 * waits, and has the last word.
 */
export async function lockDamaged(
  trx: Knex.Transaction,
  replicable: Replicable,
  { id, recorded }: DamagedRecord,
): Promise<boolean> {
  const { table, key } = stateTableOf(replicable)
  const { rows } = await run<{ rows: unknown[] }>(
    trx,
    `select 1 from ?? where ?? = ?::${replicable.keyType} and verification_checksum = ?::bytea for update`,
    [table, key, id, encodeDigest(recorded)],
  )
  return rows.length > 0
}

/** Records of which it is known that their file is not there or not right: they are hashed next, which says so where all look. */
export async function hashAgain(trx: Pick<Knex, 'raw'>, replicable: Replicable, ids: readonly string[]): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  await run(
    trx,
    `update ?? set verification_state = ${V.pending} where ?? = any(?::${replicable.keyType}[])
       and verification_state = ${V.succeeded}`,
    [table, key, ids],
  )
}

/**
 * The file is good again: it is hashed next, and the verdict of a run that may have read the former bytes is dropped. What was
 * counted and said stays until that succeeds.
 */
export async function hashRepaired(trx: Pick<Knex, 'raw'>, replicable: Replicable, id: string): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  await run(trx, `update ?? set verification_state = ${V.pending} where ?? = ?::${replicable.keyType}`, [
    table,
    key,
    id,
  ])
}
