import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { anyOf, run } from '../databases.ts'
import { truncateFailure } from '../errors.ts'
import { waitingTypes } from '../waiting-types.ts'
import { lockInOrder } from './lock-order.ts'
import { UNHELD } from './unheld.ts'

const WAITING = `(removal_requested_at is not null or superseded_keys is not null) and ${UNHELD}
  and (removal_retry_at is null or removal_retry_at <= clock_timestamp())`

/** How the cause begins that is kept with a row whose file could not be removed. Whoever writes another cause writes its code too. */
export const NOT_REMOVED = 'Could not remove file: '
const FAILED_LAST = `last_sync_failure like '${NOT_REMOVED}%'`
// A row that stays, and has failed otherwise, keeps its own cause: it says when it is tried again, and what mends it.
const HIDES_NOTHING = `(removal_requested_at is not null or last_sync_failure is null or ${FAILED_LAST})`
/** SQL of a cause, or a code, of the row `r` that is kept where work on it is lost: what could not be removed is no cause of that. */
export const earlier = (column: 'last_sync_failure' | 'error_code'): string =>
  `case when r.${FAILED_LAST} then null else r.${column} end`

/** A row whose file, or an earlier file of it, is to go. */
export interface RemovalRow {
  readonly id: string
  /** Whether the row itself goes as well, and with it the file under `key`. */
  readonly whole: boolean
  readonly key: string | null
  readonly supersededKeys: readonly string[]
}

/** Asks for the removal of rows and their files. Returns how many there were. */
export async function requestRemoval(
  db: Knex,
  { names, keyType }: Replicable,
  ids: readonly string[],
): Promise<number> {
  const { rowCount } = await run<{ rowCount: number }>(
    db,
    `update ?? set removal_requested_at = coalesce(removal_requested_at, clock_timestamp()), removal_retry_at = null
     where ?? = any(?::${keyType}[])`,
    [names.registryTable, names.foreignKey, ids],
  )
  return rowCount
}

export function typesToRemove(db: Knex, replicables: readonly Replicable[]): Promise<Replicable[]> {
  return waitingTypes(db, replicables, ({ names }) => names.registryTable, [{ condition: WAITING, order: 'id' }])
}

export async function claimRemovals(
  trx: Knex.Transaction,
  { names }: Replicable,
  leaseId: string,
  limit: number,
): Promise<RemovalRow[]> {
  const { rows } = await run<{ rows: RemovalRow[] }>(
    trx,
    `with due as materialized (select id from ?? where ${WAITING} order by id limit ? for update skip locked)
     update ?? as r set lease_id = ? from due where r.id = due.id and r.id = ${anyOf('due')}
     returning r.??::text as "id", r.removal_requested_at is not null as "whole", r.blob_key as "key",
       coalesce(r.superseded_keys, '{}') as "supersededKeys"`,
    [names.registryTable, limit, names.registryTable, leaseId, names.foreignKey],
  )
  return rows
}

/** Those of the keys that rows which stay still use, in any of the registries that share the store. */
export async function keysInUse(
  trx: Knex.Transaction,
  sharing: readonly Replicable[],
  keys: readonly string[],
  leaseId: string,
): Promise<Set<string>> {
  const inUse = new Set<string>()
  for (const { names } of sharing) {
    const { rows } = await run<{ rows: { key: string }[] }>(
      trx,
      `select k.key from unnest(?::text[]) as k(key) where exists (
         select from ?? r where r.blob_key = k.key and (r.removal_requested_at is null or r.lease_id is distinct from ?))`,
      [keys, names.registryTable, leaseId],
    )
    for (const row of rows) inUse.add(row.key)
  }
  return inUse
}

/** The files that go with the rows: all of a row that goes itself, only the earlier ones of a row that stays. */
export function keysOf(rows: readonly RemovalRow[]): string[] {
  return rows.flatMap((row) => [...row.supersededKeys, ...(row.whole && row.key !== null ? [row.key] : [])])
}

/**
 * The files of these rows are gone: so go the rows, whose ids are returned, or the notes of these files on rows that stay, with what
 * has kept them there until now. What was asked for or noted since the rows were claimed is left to the next batch.
 */
export async function finishRemovals(
  trx: Knex.Transaction,
  replicable: Replicable,
  leaseId: string,
  removed: readonly RemovalRow[],
): Promise<string[]> {
  const { names, keyType } = replicable
  await lockInOrder(
    trx,
    replicable,
    removed.map((row) => row.id),
  )
  const keys = keysOf(removed)
  const whole = removed.filter((row) => row.whole).map((row) => row.id)
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    `delete from ?? where ?? = any(?::${keyType}[]) and lease_id = ? and removal_requested_at is not null
       and coalesce(superseded_keys, '{}') <@ ?::text[]
     returning ??::text as id`,
    [names.registryTable, names.foreignKey, whole, leaseId, keys, names.foreignKey],
  )
  await run(
    trx,
    `update ?? set removal_retry_at = null, lease_id = null,
       superseded_keys = nullif(array(select k from unnest(superseded_keys) as k where k <> all(?::text[])), '{}'),
       error_code = case when ${FAILED_LAST} then null else error_code end,
       last_sync_failure = case when ${FAILED_LAST} then null else last_sync_failure end
     where ?? = any(?::${keyType}[]) and lease_id = ?`,
    [names.registryTable, keys, names.foreignKey, removed.map((row) => row.id), leaseId],
  )
  return rows.map((row) => row.id)
}

/**
 * A file could not be removed: the row keeps the request, and says why where it has no other failure, in a message that begins with
 * `NOT_REMOVED`; tried again later.
 */
export async function failRemoval(
  trx: Knex.Transaction,
  { names, keyType }: Replicable,
  leaseId: string,
  failure: { id: string; code: string; message: string; retryInSeconds: number },
): Promise<void> {
  await run(
    trx,
    `update ?? set lease_id = null,
       error_code = case when ${HIDES_NOTHING} then ? else error_code end,
       last_sync_failure = case when ${HIDES_NOTHING} then ? else last_sync_failure end,
       removal_retry_at = clock_timestamp() + ? * interval '1 second'
     where ?? = ?::${keyType} and lease_id = ?`,
    [
      names.registryTable,
      failure.code,
      truncateFailure(failure.message),
      failure.retryInSeconds,
      names.foreignKey,
      failure.id,
      leaseId,
    ],
  )
}
