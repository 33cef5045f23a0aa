import type { Knex } from 'knex'
import { isAway } from './database-failures.ts'
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
const NONE: EndedLeases = Object.freeze({ count: 0, failures: [] })
const ARE_OF_PROCESSES = `holder_host = ?
  and (holder_pid, holder_started) in (select * from unnest(?::integer[], ?::bigint[]))`

/** What came of some leases that were to be ended. */
export interface EndedLeases {
  readonly count: number
  /** Why others of them stay, such as a row of the host's that somebody keeps locked. They keep nobody from the rest. */
  readonly failures: readonly unknown[]
}

/** Ends leases in the order of their numbers, until there are `enough` or no more. */
async function endLeases(
  db: Knex,
  condition: string,
  binding: readonly unknown[],
  end: EndLease,
  enough = LEASES_AT_ONCE,
): Promise<EndedLeases> {
  let count = 0
  const failures: unknown[] = []
  for (let after: string | undefined = '0'; after !== undefined && count < enough; ) {
    const { rows }: { rows: { id: string }[] } = await run(
      db,
      // By the number: "id" alone is the text that is selected.
      `select id::text as id from geo_leases where id > ? and ${condition} order by geo_leases.id limit ${LEASES_AT_ONCE}`,
      [after, ...binding],
    )
    for (const { id } of rows) {
      try {
        if (await endLease(db, `id = ? and ${condition}`, [id, ...binding], end)) count += 1
      } catch (reason) {
        if (isAway(reason)) throw reason
        failures.push(reason)
      }
    }
    after = rows[LEASES_AT_ONCE - 1]?.id
  }
  return { count, failures }
}

/** False where it is there no more, or its holder is committing its work at this moment. */
async function endLease(db: Knex, condition: string, binding: readonly unknown[], end: EndLease): Promise<boolean> {
  return bounded(db, async (trx) => {
    const { rows } = await run<{ rows: EndedLease[] }>(
      trx,
      `with ended as materialized (select id as lease_id from geo_leases where ${condition} for update skip locked)
       delete from geo_leases using ended where id = lease_id returning id::text as "id", kind, replicable_name as "replicableName",
         record_ids as "recordIds", file_keys as "fileKeys"`,
      binding,
    )
    for (const lease of rows) await end(trx, lease)
    return rows.length > 0
  })
}

// Work of a type that only others know waits for one of them.
const IS_KNOWN = '(replicable_name is null or replicable_name = any(?::text[]))'

/**
 * Ends 20 leases, or a few more, that were not renewed, of periodic jobs and of the `types`: their processes died, stopped or lost the
 * database. What each was for is given to `end` in a transaction of its own. A lease whose holder is committing its work at this
 * moment is locked and skipped.
 */
export function endDeadLeases(db: Knex, types: readonly string[], end: EndLease): Promise<EndedLeases> {
  return endLeases(db, `expires_at <= clock_timestamp() and ${IS_KNOWN}`, [types], end)
}

/**
 * Ends 20 leases, or a few more, whose processes, on the host of `own`, are gone for certain: nobody has to wait until they end by
 * themselves. They count against the site's limits until then. Those on other hosts, and those that do not say which process
 * they are of, stay.
 */
export async function endLeasesOfGone(
  db: Knex,
  own: ProcessIdentity | null,
  types: readonly string[],
  end: EndLease,
): Promise<EndedLeases> {
  if (!own) return NONE
  const { rows } = await run<{ rows: Pick<ProcessIdentity, 'pid' | 'started'>[] }>(
    db,
    `select distinct holder_pid as pid, holder_started::text as started from geo_leases
     where holder_host = ? and (holder_pid, holder_started) <> (?, ?)`,
    [own.host, own.pid, own.started],
  )
  const ended = await Promise.all(rows.map(hasEnded))
  const gone = rows.filter((_, at) => ended[at])
  if (gone.length === 0) return NONE
  const [pids, starts] = [gone.map(({ pid }) => pid), gone.map(({ started }) => started)]
  return endLeases(db, `${ARE_OF_PROCESSES} and ${IS_KNOWN}`, [own.host, pids, starts, types], end)
}

/**
 * Ends the leases that this process has abandoned: nobody has to wait until they end by themselves, nor is anything counted
 * against their records. What a transaction still holds that PostgreSQL has not ended yet stays for the next time.
 */
export async function endAbandoned(db: Knex, leases: Leases, end: EndLease): Promise<EndedLeases> {
  const ids = leases.abandoned
  if (ids.length === 0) return NONE
  // A site that was promoted meanwhile writes another database, in which these numbers are others' leases.
  const ended = await endLeases(db, 'id = any(?::bigint[]) and holder = ?', [ids, leases.holder], end, ids.length)
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
  const { failures } = await endLeases(db, 'holder = ?', [holder], end, Number.POSITIVE_INFINITY)
  if (failures.length > 0) throw failures[0]
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
