import type { Knex } from 'knex'
import { bounded, run } from './databases.ts'
import type { Leases } from './lease.ts'
import { hasEnded, type ProcessIdentity } from './process-identity.ts'

/** Leases as others see them: of processes that died, that stop, or that work a blob somebody asks about. */

/** A lease that has ended without the end of its work, and the records it was for. */
export interface EndedLease {
  readonly id: string
  readonly kind: string
  readonly replicableName: string | null
  readonly recordIds: readonly string[]
  /** The names that their files may have got, in the same order; null where none was about to get one. */
  readonly fileKeys: readonly (string | null)[] | null
}

/** Gives back a holder's leases on periodic jobs, which have no records: another process does the jobs from now on. */
export async function endJobLeasesOf(db: Knex, holder: string): Promise<void> {
  await run(db, 'delete from geo_leases where holder = ? and replicable_name is null', [holder])
}

export type EndLease = (trx: Knex.Transaction, lease: EndedLease) => Promise<void>

const LEASES_AT_ONCE = 20
const ARE_OF_PROCESSES = `holder_host = ?
  and (holder_pid, holder_started) in (select * from unnest(?::integer[], ?::bigint[]))`

async function endLeases(db: Knex, condition: string, binding: readonly unknown[], end: EndLease): Promise<number> {
  return bounded(db, async (trx) => {
    const { rows } = await run<{ rows: EndedLease[] }>(
      trx,
      // Not "in (select …)": a plan that asks it twice would lock, and end, more than the limit.
      `with ended as materialized (
         select id as lease_id from geo_leases where ${condition} order by id limit ${LEASES_AT_ONCE} for update skip locked
       ) delete from geo_leases using ended where id = lease_id returning id::text as "id", kind, replicable_name as "replicableName", record_ids as "recordIds",
         file_keys as "fileKeys"`,
      binding,
    )
    for (const lease of rows) await end(trx, lease)
    return rows.length
  })
}

/**
 * Ends up to 20 leases that were not renewed: their processes died, stopped or lost the database. What each was for is given
 * to `end` in the same transaction. A lease whose holder is committing its work at this moment is locked and skipped.
 */
export function endDeadLeases(db: Knex, end: EndLease): Promise<number> {
  return endLeases(db, 'expires_at <= clock_timestamp()', [], end)
}

/**
 * Ends up to 20 leases whose processes, on the host of `own`, are gone for certain: nobody has to wait until they end by
 * themselves. They count against the site's limits until then. Those on other hosts, and those that do not say which process
 * they are of, stay.
 */
export async function endLeasesOfGone(db: Knex, own: ProcessIdentity | null, end: EndLease): Promise<number> {
  if (!own) return 0
  const { rows } = await run<{ rows: Pick<ProcessIdentity, 'pid' | 'started'>[] }>(
    db,
    `select distinct holder_pid as pid, holder_started::text as started from geo_leases
     where holder_host = ? and (holder_pid, holder_started) <> (?, ?)`,
    [own.host, own.pid, own.started],
  )
  const ended = await Promise.all(rows.map(hasEnded))
  const gone = rows.filter((_, at) => ended[at])
  if (gone.length === 0) return 0
  const [pids, starts] = [gone.map(({ pid }) => pid), gone.map(({ started }) => started)]
  return endLeases(db, ARE_OF_PROCESSES, [own.host, pids, starts], end)
}

/**
 * Ends the leases that this process has abandoned: nobody has to wait until they end by themselves, nor is anything counted
 * against their records. What a transaction still holds that PostgreSQL has not ended yet stays for the next time.
 */
export async function endAbandoned(db: Knex, leases: Leases, end: EndLease): Promise<number> {
  const ids = leases.abandoned
  if (ids.length === 0) return 0
  // A site that was promoted meanwhile writes another database, in which these numbers are others' leases.
  const ended = await endAllLeases(db, 'id = any(?::bigint[]) and holder = ?', [ids, leases.holder], end)
  const { rows } = await run<{ rows: { id: string }[] }>(
    db,
    'select id::text as id from geo_leases where id = any(?::bigint[]) and holder = ?',
    [ids, leases.holder],
  )
  const there = new Set(rows.map(({ id }) => id))
  leases.gone(ids.filter((id) => !there.has(id)))
  return ended
}

/** Gives back all leases of a holder that stops. */
export async function endLeasesOf(db: Knex, holder: string, end: EndLease): Promise<void> {
  await endAllLeases(db, 'holder = ?', [holder], end)
}

async function endAllLeases(db: Knex, condition: string, binding: readonly unknown[], end: EndLease): Promise<number> {
  let ended = 0
  for (;;) {
    const some = await endLeases(db, condition, binding, end)
    ended += some
    if (some < LEASES_AT_ONCE) return ended
  }
}

/** A lease as others see it. */
export interface LeaseState {
  readonly id: string
  readonly kind: string
  readonly holder: string
  readonly heldSeconds: number
  /** Below zero: it has ended, and what it was for is about to be taken up by another. */
  readonly secondsLeft: number
}

export async function leaseState(db: Knex, id: string): Promise<LeaseState | null> {
  const { rows } = await run<{ rows: LeaseState[] }>(
    db,
    `select id::text as "id", kind, holder::text as "holder",
       extract(epoch from clock_timestamp() - acquired_at)::float8 as "heldSeconds",
       extract(epoch from expires_at - clock_timestamp())::float8 as "secondsLeft"
     from geo_leases where id = ?`,
    [id],
  )
  return rows[0] ?? null
}
