import type { Knex } from 'knex'
import { type Digest, decodeDigest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { run } from '../databases.ts'
import { VERIFICATION_STATE } from '../verification/verification-state.ts'
import { SYNC_STATE } from './sync-state.ts'

/** A copy whose stored bytes were found to be right. */
export interface VerifiedCopy {
  readonly bytes: number
  readonly digest: Digest | null
}

/** This site's verified copy of a record under exactly this key, if it has one that is to stay. */
export async function verifiedCopy(
  db: Knex,
  { names, keyType }: Replicable,
  id: string,
  key: string,
): Promise<VerifiedCopy | null> {
  const { rows } = await run<{ rows: { bytes: string; checksum: Buffer | null }[] }>(
    db,
    `select bytes::text as bytes, verification_checksum as checksum from ??
     where ?? = ?::${keyType} and blob_key = ? and state = ${SYNC_STATE.synced}
       and verification_state = ${VERIFICATION_STATE.succeeded} and removal_requested_at is null`,
    [names.registryTable, names.foreignKey, id, key],
  )
  const [row] = rows
  return row ? { bytes: Number(row.bytes), digest: decodeDigest(row.checksum) } : null
}

/** Whether this site has stored a copy of a record under exactly this key, verified or not, that is to stay. */
export async function holdsCopy(db: Knex, { names, keyType }: Replicable, id: string, key: string): Promise<boolean> {
  const { rows } = await run<{ rows: unknown[] }>(
    db,
    `select from ?? where ?? = ?::${keyType} and blob_key = ? and removal_requested_at is null`,
    [names.registryTable, names.foreignKey, id, key],
  )
  return rows.length > 0
}
