import type { Knex } from 'knex'
import { anyOf, bounded, run } from '../databases.ts'
import { leastPosition } from '../node-status-table.ts'
import { type ClusterIdentity, clusterIdentity, IDENTITY_COLUMNS } from './cursor.ts'
import type { EventPosition } from './event-log.ts'

const EVENTS_PER_BATCH = 5000
const MOST_PER_RUN = 50_000

/**
 * Deletes events that every secondary has read, and those that are older than the retention whoever has not; with no secondary,
 * all. In the order of the log, so that one position says what is gone; a transaction that is still open keeps what it wrote
 * and whatever comes after it. Up to 50,000 in one run. Returns how many.
 *
 * What nobody has read is asked for first (`mayForget`): on a primary that another one has replaced it is all that tells what did not
 * arrive there.
 */
export async function pruneEvents(main: Knex, retentionMs: number, mayForget: () => Promise<boolean>): Promise<number> {
  const read = await pruneBatches(main, null)
  if (read >= MOST_PER_RUN || ((await firstEventAgeMs(main)) ?? 0) <= retentionMs || !(await mayForget())) return read
  return read + (await pruneBatches(main, retentionMs))
}

async function pruneBatches(main: Knex, retentionMs: number | null): Promise<number> {
  let pruned = 0
  for (let batch = EVENTS_PER_BATCH; batch === EVENTS_PER_BATCH && pruned < MOST_PER_RUN; pruned += batch) {
    batch = await bounded(main, (trx) => pruneBatch(trx, retentionMs))
  }
  return pruned
}

/** How old the first event of the log is; null where there is none. */
export async function firstEventAgeMs(main: Knex): Promise<number | null> {
  const { rows } = await run<{ rows: { ageMs: number }[] }>(
    main,
    `select (extract(epoch from clock_timestamp() - created_at) * 1000)::float8 as "ageMs"
     from geo_events order by xact_id, id limit 1`,
  )
  return rows[0]?.ageMs ?? null
}

/** `retentionMs` null: only what all have read. */
async function pruneBatch(trx: Knex.Transaction, retentionMs: number | null): Promise<number> {
  const identity = await clusterIdentity(trx)
  const read = await leastPosition(trx, identity)
  const readByAll = read ? '(xact_id, id) <= (?::xid8, ?::bigint)' : 'true'
  const { rows } = await run<{ rows: (EventPosition & { count: number })[] }>(
    trx,
    `with settled as materialized (
       select id, xact_id, ${readByAll} or coalesce(created_at < clock_timestamp() - ? * interval '1 ms', false) as done
       from geo_events where xact_id < pg_snapshot_xmin(pg_current_snapshot())
       order by xact_id, id limit ${EVENTS_PER_BATCH}
     ), up_to_first_kept as (
       select id, bool_and(done) over (order by xact_id, id) as goes from settled
     ), doomed as materialized (
       select id from up_to_first_kept where goes
     ), pruned as (
       delete from geo_events e where e.id = ${anyOf('doomed')}
       returning e.xact_id, e.id
     )
     select xact_id::text as "xactId", id::text as "eventId", (count(*) over ())::int as count
     from pruned order by pruned.xact_id desc, pruned.id desc limit 1`,
    [...(read ? [read.xactId, read.eventId] : []), retentionMs],
  )
  const [last] = rows
  if (!last) return 0
  await notePruned(trx, identity.systemIdentifier, last)
  return last.count
}

/** In the transaction that deletes: a standby shows both or neither. */
async function notePruned(trx: Knex.Transaction, systemIdentifier: string, upTo: EventPosition): Promise<void> {
  await run(
    trx,
    `insert into geo_event_prunes as p (system_identifier, xact_id, event_id, pruned_at)
     values (?, ?::xid8, ?::bigint, clock_timestamp())
     on conflict (system_identifier) do update
     set xact_id = excluded.xact_id, event_id = excluded.event_id, pruned_at = excluded.pruned_at
     where (p.xact_id, p.event_id) < (excluded.xact_id, excluded.event_id)`,
    [systemIdentifier, upTo.xactId, upTo.eventId],
  )
}

/**
 * Which log lies behind `db`, whether that is a replica, and up to where its events were pruned, if that is after the given position:
 * then some may never have been read. To be asked after the events themselves: what was pruned between the two questions is noticed,
 * not skipped, and so is a promotion.
 */
export async function logBeyond(
  db: Knex,
  { xactId, eventId }: EventPosition,
): Promise<{ identity: ClusterIdentity; isReplica: boolean; pruned: EventPosition | null }> {
  const { rows } = await run<{ rows: (ClusterIdentity & { isReplica: boolean; pruned: EventPosition | null })[] }>(
    db,
    `select log.*, pg_is_in_recovery() as "isReplica", case when p.xact_id is not null
       then json_build_object('xactId', p.xact_id::text, 'eventId', p.event_id::text) end as "pruned"
     from (select ${IDENTITY_COLUMNS}) as log left join geo_event_prunes p on p.system_identifier = log."systemIdentifier"
       and (p.xact_id, p.event_id) > (?::xid8, ?::bigint) and p.xact_id < pg_snapshot_xmin(pg_current_snapshot())`,
    [xactId, eventId],
  )
  const [row] = rows
  if (!row) throw new Error('pg_control_system() returned no row')
  const { pruned, isReplica, ...identity } = row
  return { identity, isReplica, pruned }
}
