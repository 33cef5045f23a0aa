import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { VERIFICATION_STATE } from '../verification/verification-state.ts'
import { type Digest, decodeDigest, KNOWN_ALGORITHM_BYTES } from './digest.ts'
import type { Replicable } from './replicable.ts'

/** What the primary knows of a blob's bytes; on a secondary read from the replica. */
export interface PrimaryChecksum {
  /** What other copies are judged by; null while there is nothing to judge by. */
  readonly digest: Digest | null
  /** The bytes on the primary were found to differ from the recorded checksum: they must not travel. */
  readonly corrupt: boolean
}

/** How a failure on the primary's state row says that the recorded checksum no longer fits the bytes there. */
export const CORRUPT_PREFIX = 'CORRUPT_ON_PRIMARY'

/** Where the primary's verification state lies, and the column there that holds the key of the host's row. */
export function stateTableOf(replicable: Replicable): { readonly table: string; readonly key: string } {
  return replicable.verificationState === 'separate'
    ? { table: replicable.names.stateTable, key: replicable.names.foreignKey }
    : { table: replicable.table, key: replicable.keyColumn }
}

/**
 * In SQL, what copies are judged by, of the state row or host's row under an alias. An immutable blob is judged by its recorded
 * checksum whatever became of the primary's own copy since; a mutable one only while its verification stands as succeeded.
 */
export function judgingChecksum({ immutable }: Replicable, alias: string): string {
  const known = `get_byte(nullif(${alias}.verification_checksum, ''), 0) in (${KNOWN_ALGORITHM_BYTES.join(', ')})`
  const stands = immutable ? known : `${known} and ${alias}.verification_state = ${VERIFICATION_STATE.succeeded}`
  return `case when ${stands} then ${alias}.verification_checksum end`
}

/** The primary's checksums of the given records. */
export async function loadPrimaryChecksums(
  db: Knex,
  replicable: Replicable,
  ids: readonly string[],
): Promise<Map<string, PrimaryChecksum>> {
  const { table, key } = stateTableOf(replicable)
  return bounded(db, async (trx) => {
    const { rows } = await run<{
      rows: { id: string; checksum: Buffer | null; failure: string | null }[]
    }>(
      trx,
      `select s.??::text as id, ${judgingChecksum(replicable, 's')} as checksum, s.verification_failure as failure
       from ?? as s where s.?? = any(?::${replicable.keyType}[])`,
      [key, table, key, ids],
    )
    return new Map(rows.map((row) => [row.id, toPrimaryChecksum(row)]))
  })
}

/** What a state says: the checksum that copies are judged by, and how the last verification failed. */
export function toPrimaryChecksum({
  checksum,
  failure,
}: {
  checksum: Buffer | null
  failure: string | null
}): PrimaryChecksum {
  // Also while it is hashed again: only a success takes it back.
  return { digest: decodeDigest(checksum), corrupt: (failure ?? '').startsWith(CORRUPT_PREFIX) }
}
