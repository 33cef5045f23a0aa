import type { Knex } from 'knex'
import { decodeDigest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import type { Condition } from '../key-walk.ts'
import { VERIFICATION, VERIFICATION_STATE, type VerificationState } from '../verification/verification-state.ts'
import { SYNC, SYNC_STATE, type SyncState } from './sync-state.ts'

/** Registry rows as people look at them: filtered, sorted, a page at a time. Rows whose removal is asked for are left out. */

/** A registry row. Moments are ISO 8601 in UTC, checksums hex digits. */
export interface RegistryEntry {
  /** The name of the type. */
  readonly type: string
  readonly registryId: string
  /** The key of the host's row. */
  readonly recordId: string
  readonly state: SyncState
  readonly retryCount: number
  readonly retryAt: string | null
  readonly lastSyncedAt: string | null
  readonly lastSyncFailure: string | null
  readonly createdAt: string
  readonly verificationState: VerificationState
  readonly verifiedAt: string | null
  readonly verificationStartedAt: string | null
  readonly verificationRetryAt: string | null
  readonly verificationRetryCount: number
  readonly verificationFailure: string | null
  readonly verificationChecksum: string | null
  readonly verificationChecksumMismatched: string | null
  readonly checksumMismatch: boolean
  /** The stable code of the failure that is told. */
  readonly errorCode: string | null
  /** Size of the copy; null while no attempt has learnt it. */
  readonly bytes: string | null
  /** Where this row is in the order in which it was read. */
  readonly position: RegistryPosition
}

/** Which rows: all that are given must hold. */
export interface RegistrySelection {
  readonly registryIds?: readonly string[]
  readonly recordIds?: readonly string[]
  readonly syncState?: SyncState
  /** Implies that the row is synced: of other copies nothing is verified (GB.B.3). */
  readonly verificationState?: VerificationState
  /** Only rows whose copy is not proven: all but those that are synced and verified. */
  readonly proven?: false
}

export interface RegistryOrder {
  readonly by: 'id' | 'verifiedAt' | 'lastSyncedAt'
  readonly descending: boolean
}

/** A row's place in an order: what it is sorted by, as the database writes it, then its id. */
export interface RegistryPosition {
  readonly value: string
  readonly registryId: string
}

export interface RegistryWindow {
  readonly after?: RegistryPosition | null
  readonly before?: RegistryPosition | null
  readonly limit: number
  /** The last ones of the window instead of the first; they come last one first. */
  readonly fromEnd?: boolean
}

// A moment that has not come counts as later than all others, which is where PostgreSQL sorts nulls too.
const SORTED_BY: Readonly<Record<RegistryOrder['by'], { readonly sql: string; readonly type: string }>> = Object.freeze(
  {
    id: { sql: 'id', type: 'bigint' },
    verifiedAt: { sql: `coalesce(verified_at, 'infinity')`, type: 'timestamptz' },
    lastSyncedAt: { sql: `coalesce(last_synced_at, 'infinity')`, type: 'timestamptz' },
  },
)

const MOMENTS = Object.freeze({
  retryAt: 'retry_at',
  lastSyncedAt: 'last_synced_at',
  createdAt: 'created_at',
  verifiedAt: 'verified_at',
  verificationStartedAt: 'verification_started_at',
  verificationRetryAt: 'verification_retry_at',
})

const COLUMNS = [
  'id::text as "registryId", state as "stateNumber", retry_count as "retryCount", last_sync_failure as "lastSyncFailure"',
  'verification_state as "verificationStateNumber", verification_retry_count as "verificationRetryCount"',
  'verification_failure as "verificationFailure", verification_checksum as checksum',
  'verification_checksum_mismatched as mismatched, checksum_mismatch as "checksumMismatch"',
  'error_code as "errorCode", bytes::text as bytes',
  ...Object.entries(MOMENTS).map(([name, column]) => `${isoTime(column)} as "${name}"`),
].join(', ')

type EntryRow = Omit<
  RegistryEntry,
  'type' | 'state' | 'verificationState' | 'verificationChecksum' | 'verificationChecksumMismatched' | 'position'
> & {
  stateNumber: number
  verificationStateNumber: number
  checksum: Buffer | null
  mismatched: Buffer | null
  positionValue: string
}

/** The rows of a window, in its order: by position, not by number, so that a walk misses none that stays while others change. */
export async function readRegistryPage(
  tracking: Knex,
  replicable: Replicable,
  selection: RegistrySelection,
  order: RegistryOrder,
  { after, before, limit, fromEnd = false }: RegistryWindow,
): Promise<RegistryEntry[]> {
  const { names } = replicable
  const { sql, type } = SORTED_BY[order.by]
  const place = order.by === 'id' ? '(id)' : `(${sql}, id)`
  const bound = order.by === 'id' ? '(?::bigint)' : `(?::${type}, ?::bigint)`
  const valuesOf = ({ value, registryId }: RegistryPosition) => (order.by === 'id' ? [registryId] : [value, registryId])
  const where = conditionOf(replicable, selection)
  const bindings: unknown[] = [names.foreignKey, names.registryTable, ...where.bindings]
  let text = where.sql
  const [beyond, short] = order.descending ? ['<', '>'] : ['>', '<']
  if (after) {
    text += ` and ${place} ${beyond} ${bound}`
    bindings.push(...valuesOf(after))
  }
  if (before) {
    text += ` and ${place} ${short} ${bound}`
    bindings.push(...valuesOf(before))
  }
  const direction = order.descending !== fromEnd ? 'desc' : 'asc'
  const sorted = (order.by === 'id' ? ['r.id'] : [sql, 'r.id']).map((each) => `${each} ${direction}`).join(', ')
  // The page is cut out before it is written out: in one select, moments of all rows would become texts to sort a thousand.
  const { rows } = await bounded(tracking, (trx) =>
    run<{ rows: EntryRow[] }>(
      trx,
      `select ??::text as "recordId", ${COLUMNS}, (${sql})::text as "positionValue"
       from (select * from ?? as r where ${text} order by ${sorted} limit ?) as r order by ${sorted}`,
      [...bindings, limit],
    ),
  )
  return rows.map((row) => entryOf(replicable, row))
}

/** How many rows there are, counted no further than one beyond the limit. */
export async function countRegistryUpTo(
  tracking: Knex,
  replicable: Replicable,
  selection: RegistrySelection,
  limit: number,
): Promise<number> {
  const where = conditionOf(replicable, selection)
  const { rows } = await bounded(tracking, (trx) =>
    run<{ rows: { count: number }[] }>(
      trx,
      `select count(*)::int as count from (select from ?? where ${where.sql} limit ?) as counted`,
      [replicable.names.registryTable, ...where.bindings, limit + 1],
    ),
  )
  return rows[0]?.count ?? 0
}

const { pending, started, synced, failed } = SYNC_STATE
const V = VERIFICATION_STATE

/**
 * All but synced and verified, said as the ranges that have an index each: where nearly all rows are proven, what is not is found
 * without reading those.
 */
const UNPROVEN = `(state in (${pending}, ${started}, ${failed})
  or (state = ${synced} and verification_state in (${V.pending}, ${V.failed}))
  or (state = ${synced} and verification_state = ${V.started})
  or (state = ${synced} and verification_state = ${V.disabled}))`

function conditionOf({ names, keyType }: Replicable, selection: RegistrySelection): Condition {
  const { registryIds, recordIds, syncState, verificationState, proven } = selection
  const conditions = ['removal_requested_at is null']
  const bindings: unknown[] = []
  const add = (sql: string, ...values: unknown[]) => {
    conditions.push(sql)
    bindings.push(...values)
  }
  if (registryIds) add('id = any(?::bigint[])', [...registryIds])
  if (recordIds) add(`?? = any(?::${keyType}[])`, names.foreignKey, [...recordIds])
  if (syncState) add(`state = ${SYNC_STATE[syncState]}`)
  if (verificationState) {
    add(`state = ${SYNC_STATE.synced} and verification_state = ${VERIFICATION_STATE[verificationState]}`)
  }
  if (proven === false) {
    add(UNPROVEN)
  }
  return { sql: conditions.join(' and '), bindings: bindings as Knex.RawBinding[] }
}

function entryOf(
  { name }: Replicable,
  { stateNumber, verificationStateNumber, checksum, mismatched, positionValue, ...row }: EntryRow,
): RegistryEntry {
  return Object.freeze({
    ...row,
    type: name,
    state: SYNC.named(stateNumber),
    verificationState: VERIFICATION.named(verificationStateNumber),
    verificationChecksum: decodeDigest(checksum)?.hex ?? null,
    verificationChecksumMismatched: decodeDigest(mismatched)?.hex ?? null,
    position: { value: positionValue, registryId: row.registryId },
  })
}
