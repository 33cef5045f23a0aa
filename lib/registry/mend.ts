import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { anyOf, boundedByPage, run } from '../databases.ts'
import type { MovedLiteral } from '../transition-log.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { type ComparedPage, partOfRegistry, UNUSED, UNVERIFIED } from './compare.ts'
import { TO_PENDING } from './registry.ts'
import { SYNC_STATE } from './sync-state.ts'
import { verificationPending } from './verification-reset.ts'

/**
 * What a pass does about the differences of a page, one statement each. Rows are locked in the order of the registry before they are
 * written, as lockInOrder does.
 */

/** Records that were mended. */
export type Mended = MovedLiteral

const SUMMARY = `count(*)::int as count, coalesce(array_agg(id)::text, '{}') as literal`
export const NOTHING_MENDED: Mended = Object.freeze({ count: 0, literal: '{}' })

async function mend(db: Knex, sql: string, bindings: readonly unknown[]): Promise<Mended> {
  const { rows } = await boundedByPage(db, (trx) => run<{ rows: Mended[] }>(trx, sql, bindings))
  return rows[0] ?? NOTHING_MENDED
}

/** Adds pending rows, as backfill, for those rows of the page that have none. */
export function insertMissing(
  db: Knex,
  replicable: Replicable,
  compared: Pick<ComparedPage, 'page' | 'after' | 'upTo'>,
): Promise<Mended> {
  const { names, keyType } = replicable
  const part = partOfRegistry(replicable, compared)
  return mend(
    db,
    `with added as (
       insert into ?? (??, created_at, state, backfill)
       select u.id, clock_timestamp(), ${SYNC_STATE.pending}, true from unnest(?::${keyType}[]) as u(id)
       where not exists (select from (select r.* ${part.sql}) as r where r.?? = u.id)
       on conflict (??) do nothing returning ?? as id
     ) select ${SUMMARY} from added`,
    [
      names.registryTable,
      names.foreignKey,
      compared.page.keys,
      ...part.bindings,
      names.foreignKey,
      names.foreignKey,
      names.foreignKey,
    ],
  )
}

/**
 * Asks for the removal of up to `limit` rows of this part of the registry that are not on the page: the records are gone or out
 * of scope.
 */
export function removeUnused(db: Knex, replicable: Replicable, compared: ComparedPage, limit: number): Promise<Mended> {
  const { names, keyType } = replicable
  const part = partOfRegistry(replicable, compared)
  return mend(
    db,
    `with unused as (
       select r.id from unnest(?::${keyType}[]) as p(id) right join (select r.* ${part.sql}) as r on r.?? = p.id
       where ${UNUSED} limit ?
     ), due as materialized (
       select id as row_id from ?? where id = ${anyOf('unused')} and removal_requested_at is null
       order by id for no key update
     ), asked as (
       update ?? as r set removal_requested_at = clock_timestamp(), removal_retry_at = null
       from due
       where r.id = row_id and r.id = ${anyOf('due', 'row_id')} returning r.?? as id
     ) select ${SUMMARY} from asked`,
    [
      compared.page.keys,
      ...part.bindings,
      names.foreignKey,
      compared.asOf,
      limit,
      names.registryTable,
      names.registryTable,
      names.foreignKey,
    ],
  )
}

/** Has copies hashed that were never compared with the primary's checksum (`disabled`), or with another one (`succeeded`). */
export function wakeUnverified(
  db: Knex,
  replicable: Replicable,
  compared: Pick<ComparedPage, 'page' | 'after' | 'upTo'>,
  was: 'disabled' | 'succeeded',
): Promise<Mended> {
  const { names, keyType } = replicable
  const { page } = compared
  const part = partOfRegistry(replicable, compared)
  return mend(
    db,
    `with due as materialized (
       select r.id as row_id from unnest(?::${keyType}[], ?::bytea[]) as p(id, checksum) join (select r.* ${part.sql}) as r on r.?? = p.id
       where ${UNVERIFIED} and r.verification_state = ${V[was]} order by r.id for no key update of r
     ), woken as (
       update ?? as r set ${verificationPending()} from due
       where r.id = row_id and r.id = ${anyOf('due', 'row_id')} returning r.?? as id
     ) select ${SUMMARY} from woken`,
    [page.keys, page.checksums, ...part.bindings, names.foreignKey, names.registryTable, names.foreignKey],
  )
}

/** Of a registry row `r` and a read row `m`. */
const IS_STILL_HERE = `r.state = ${SYNC_STATE.synced} and r.blob_key is not distinct from m.stored_key`

/** A row under whose key the copy is, as its version says. */
export interface ReadRow {
  readonly id: string
  readonly storedKey: string | null
  readonly version: string
}

/** Fetches copies again whose rows name another file by now. The copy that is here is removed when the other has come. */
export function resyncMoved(db: Knex, { names, keyType }: Replicable, rows: readonly ReadRow[]): Promise<Mended> {
  return mend(
    db,
    `with due as materialized (
       select r.id as row_id from ?? as r join unnest(?::${keyType}[], ?::text[]) as m(id, stored_key) on r.?? = m.id
       where r.?? = any(?::${keyType}[]) and ${IS_STILL_HERE} order by r.id for no key update of r
     ), moved as (
       update ?? as r set ${TO_PENDING} from due
       where r.id = row_id and r.id = ${anyOf('due', 'row_id')} returning r.?? as id
     ) select ${SUMMARY} from moved`,
    [
      names.registryTable,
      rows.map((row) => row.id),
      rows.map((row) => row.storedKey),
      names.foreignKey,
      names.foreignKey,
      rows.map((row) => row.id),
      names.registryTable,
      names.foreignKey,
    ],
  )
}

/**
 * Notes that the rows were read at this version and name the file that is here. Only on copies that are still the same: one
 * that was fetched meanwhile has the version that its own key was read from, older or younger.
 */
export async function noteVersions(db: Knex, { names, keyType }: Replicable, rows: readonly ReadRow[]): Promise<void> {
  await run(
    db,
    `with due as materialized (
       select r.id as row_id, m.version from ?? as r
       join unnest(?::${keyType}[], ?::text[], ?::bigint[]) as m(id, stored_key, version) on r.?? = m.id
       where r.?? = any(?::${keyType}[]) and ${IS_STILL_HERE} order by r.id for no key update of r
     ) update ?? as r set row_version = due.version from due where r.id = row_id and r.id = ${anyOf('due', 'row_id')}`,
    [
      names.registryTable,
      rows.map((row) => row.id),
      rows.map((row) => row.storedKey),
      rows.map((row) => row.version),
      names.foreignKey,
      names.foreignKey,
      rows.map((row) => row.id),
      names.registryTable,
    ],
  )
}
