import type { Knex } from 'knex'
import { arrayLiteral } from '../array-literal.ts'
import { decodeDigest } from '../blob/digest.ts'
import { CORRUPT_PREFIX, stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { wantedRows } from '../blob/scope.ts'
import { wantedAmong } from '../blob/source.ts'
import { anyOf, run } from '../databases.ts'
import { anyWaits, type DueRange, waitingTypes } from '../waiting-types.ts'
import { claimInShares, HASH_WAITING, RETRY_WAITING } from './due-ranges.ts'
import type { ClaimedRecord } from './tracker.ts'
import { VERIFICATION } from './verification-state.ts'

/**
 * What of the primary's own waits to be hashed, and its claim. In a table of its own a state is there for a record with a file
 * only. In columns on the host's table every row has one: those without a file wait among the others until a claim comes upon
 * them, and are disabled. So each of them is asked about once, and looks and claims cost the same however many there are.
 */

/** Which of the types have something for a claim to do. */
export function typesToHash(db: Knex, replicables: readonly Replicable[]): Promise<Replicable[]> {
  return waitingTypes(db, replicables, (replicable) => stateTableOf(replicable).table, HASH_WAITING)
}

export function claimPrimary(trx: Knex.Transaction, replicable: Replicable, limit: number): Promise<ClaimedRecord[]> {
  const { verificationState } = replicable
  return claimInShares(
    limit,
    () => anyWaits(trx, stateTableOf(replicable).table, RETRY_WAITING),
    (from, range, upTo) =>
      verificationState === 'separate'
        ? claimFound(trx, replicable, from, firstOf(trx, replicable, range, upTo))
        : claimAmongAll(trx, replicable, from, range, upTo),
  )
}

const SUCCEEDED = VERIFICATION.step('succeeded', 'started').where

/** Those of the records that are verified. */
export function claimVerifiedPrimary(
  trx: Knex.Transaction,
  replicable: Replicable,
  ids: readonly string[],
): Promise<ClaimedRecord[]> {
  const { key } = stateTableOf(replicable)
  const found = withFile(trx, replicable, SUCCEEDED).whereRaw(`?? = any(?::${replicable.keyType}[])`, [
    key,
    arrayLiteral(ids),
  ])
  return claimFound(trx, replicable, 'succeeded', found)
}

/** The states, under a condition, of records with a file. In a subquery, so that an `or` of the host's stays closed off. */
function withFile(db: Knex, replicable: Replicable, condition: string): Knex.QueryBuilder {
  const { table, key } = stateTableOf(replicable)
  const query = db(table).whereRaw(condition)
  if (replicable.verificationState === 'separate') return query
  return query.whereRaw('?? in (?)', [key, wantedRows(db, replicable, null).select(db.raw('??', [key]))])
}

function firstOf(db: Knex, replicable: Replicable, range: DueRange, limit: number): Knex.QueryBuilder {
  const { table } = stateTableOf(replicable)
  return db(table).whereRaw(range.condition).orderByRaw(range.order).limit(limit)
}

// Rows without a file that one claim may come upon: the host waits for those that it wants to write meanwhile.
const LARGER_LOOK = 500
const LARGER_LOOKS = 4

/** Locked first and asked about then, as they are by that time: no row that is just getting its file is disabled. */
async function claimAmongAll(
  trx: Knex.Transaction,
  replicable: Replicable,
  from: ClaimedRecord['from'],
  range: DueRange,
  limit: number,
): Promise<ClaimedRecord[]> {
  const { table, key } = stateTableOf(replicable)
  const claimed: ClaimedRecord[] = []
  for (let looks = 0; looks <= LARGER_LOOKS && claimed.length < limit; looks += 1) {
    const upTo = looks === 0 ? limit : LARGER_LOOK
    const head = await idsOf(trx, key, firstOf(trx, replicable, range, upTo).forUpdate().skipLocked())
    const available = new Set(await idsOf(trx, key, wantedAmong(trx, replicable, head, null)))
    const picked = head.filter((id) => available.has(id)).slice(0, limit - claimed.length)
    const found = trx(table)
      .whereRaw(`?? = any(?::${replicable.keyType}[])`, [key, arrayLiteral(picked)])
      .orderByRaw(range.order)
    if (picked.length > 0) claimed.push(...(await claimFound(trx, replicable, from, found)))
    const without = head.filter((id) => !available.has(id))
    if (without.length > 0) await disable(trx, replicable, without)
    if (head.length < upTo) break
  }
  return claimed
}

async function idsOf(db: Knex, key: string, query: Knex.QueryBuilder): Promise<string[]> {
  const rows: { id: string }[] = await query.select(db.raw('??::text as id', [key]))
  return rows.map(({ id }) => id)
}

/** When it was last claimed stays: it is looked at again as soon as it has a file. */
async function disable(trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]): Promise<void> {
  const { table, key } = stateTableOf(replicable)
  const { set } = VERIFICATION.step('pending', 'disabled')
  await run(trx, `update ?? set ${set} where ?? = any(?::${replicable.keyType}[])`, [table, key, ids])
}

async function claimFound(
  trx: Knex.Transaction,
  replicable: Replicable,
  from: ClaimedRecord['from'],
  found: Knex.QueryBuilder,
): Promise<ClaimedRecord[]> {
  const { table, key } = stateTableOf(replicable)
  const due = found
    .select(trx.raw('?? as id', [key]))
    .forUpdate()
    .skipLocked()
  const { rows } = await run<{
    rows: (Pick<ClaimedRecord, 'id' | 'startedAt' | 'retryCount' | 'corrupt'> & { checksum: Buffer | null })[]
  }>(
    trx,
    `with due as materialized (?)
     update ?? as s set ${VERIFICATION.step('pending', 'started').set}, verification_started_at = transaction_timestamp()
     from due where s.?? = due.id and s.?? = ${anyOf('due')}
     returning s.??::text as "id", s.verification_started_at::text as "startedAt",
       coalesce(s.verification_retry_count, 0) as "retryCount", s.verification_checksum as "checksum",
       coalesce(s.verification_failure like '${CORRUPT_PREFIX}%', false) as "corrupt"`,
    [due, table, key, key, key],
  )
  return rows.map(({ checksum, ...row }) => {
    const recorded = decodeDigest(checksum)
    const unreadable = checksum !== null && recorded === null
    return {
      ...row,
      from,
      recorded,
      unreadable,
      registryId: null,
      announcedSecondsAgo: null,
      traceparent: null,
      storedKey: null,
    }
  })
}
