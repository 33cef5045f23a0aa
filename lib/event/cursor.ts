import type { Knex } from 'knex'
import { run } from '../databases.ts'
import type { EventPosition } from './event-log.ts'

/** Which database the position counts in: a promotion, a restore or another cluster renumbers transactions. */
export interface ClusterIdentity {
  readonly systemIdentifier: string
  readonly timeline: number
}

export interface StoredCursor extends EventPosition, ClusterIdentity {}

/** In SQL, the columns of a ClusterIdentity. On a replica the timeline follows a promotion with the next restart point. */
export const IDENTITY_COLUMNS = `(select system_identifier::text from pg_control_system()) as "systemIdentifier",
  greatest((select timeline_id from pg_control_checkpoint()),
           (select min_recovery_end_timeline from pg_control_recovery())) as "timeline"`

export function isSameLog(left: ClusterIdentity, right: ClusterIdentity): boolean {
  return left.systemIdentifier === right.systemIdentifier && left.timeline === right.timeline
}

/** Identity of the server behind `db`. */
export async function clusterIdentity(db: Knex): Promise<ClusterIdentity> {
  const { rows } = await run<{ rows: ClusterIdentity[] }>(db, `select ${IDENTITY_COLUMNS}`)
  const [identity] = rows
  if (!identity) throw new Error('pg_control_system() returned no row')
  return identity
}

const CURSOR_COLUMNS = `system_identifier as "systemIdentifier", timeline, xact_id::text as "xactId", event_id::text as "eventId"`

export async function loadCursor(trx: Knex, siteName: string): Promise<StoredCursor | null> {
  const { rows } = await run<{ rows: StoredCursor[] }>(
    trx,
    `select ${CURSOR_COLUMNS} from geo_event_cursors where site_name = ?`,
    [siteName],
  )
  return rows[0] ?? null
}

/** The position and the ids of what was handled early beyond it, as of one moment: what every look at the log begins with. */
export async function loadFollowed(
  db: Knex,
  siteName: string,
): Promise<{ cursor: StoredCursor | null; early: readonly string[] }> {
  const { rows } = await run<{ rows: (StoredCursor & { early: string[] })[] }>(
    db,
    `select ${CURSOR_COLUMNS}, array(select e.event_id::text from geo_early_events e order by e.event_id) as "early"
     from geo_event_cursors where site_name = ?`,
    [siteName],
  )
  const [row] = rows
  if (!row) return { cursor: null, early: [] }
  const { early, ...cursor } = row
  return { cursor, early }
}

/**
 * Whether the server behind `replica` has yet to get to where the site has read: it is another standby, which lags behind the one before
 * it, and does not know of rows that are there. In one session a standby only goes on.
 */
export async function isBehind(replica: Knex, tracking: Knex, siteName: string): Promise<boolean> {
  const cursor = await loadCursor(tracking, siteName)
  if (!cursor) return false
  const { rows } = await run<{ rows: { behind: boolean }[] }>(
    replica,
    'select (pg_snapshot_xmin(pg_current_snapshot()), 0) < (?::xid8, ?::bigint) as behind',
    [cursor.xactId, cursor.eventId],
  )
  return rows[0]?.behind === true
}

/** Since when the site has followed the log with this database, in seconds since the epoch; null before it began. */
export async function cursorCreatedAt(tracking: Knex, siteName: string): Promise<number | null> {
  const { rows } = await run<{ rows: { createdAt: number }[] }>(
    tracking,
    'select extract(epoch from created_at)::float8 as "createdAt" from geo_event_cursors where site_name = ?',
    [siteName],
  )
  return rows[0]?.createdAt ?? null
}

/**
 * Below which every transaction had arrived, by what the site read in its turn while its main database was a replica; 0 where it never
 * was.
 */
export async function loadArrivedBelow(tracking: Knex, siteName: string): Promise<string> {
  const { rows } = await run<{ rows: { xactId: string | null }[] }>(
    tracking,
    'select arrived_below::text as "xactId" from geo_event_cursors where site_name = ?',
    [siteName],
  )
  return rows[0]?.xactId ?? '0'
}

/** Whether the site has been promoted since it began to follow the log with this database: what its registries say is of before. */
export async function wasPromoted(tracking: Knex, siteName: string): Promise<boolean> {
  const { rows } = await run<{ rows: unknown[] }>(
    tracking,
    'select 1 from geo_event_cursors where site_name = ? and promoted_at is not null',
    [siteName],
  )
  return rows.length > 0
}

/** The site is the primary now. */
export async function notePromoted(tracking: Knex, siteName: string): Promise<void> {
  await run(
    tracking,
    'update geo_event_cursors set promoted_at = coalesce(promoted_at, clock_timestamp()) where site_name = ?',
    [siteName],
  )
}

export interface CursorRead {
  /** That of the last event before the position, where there was one. */
  readonly eventCreatedAt: string | null
  /** Whether the main database was a replica still after the events had been read. */
  readonly fromReplica: boolean
}

/** Stores the position; in the transaction that holds the effects of the events before it, so that each happens once. */
export async function saveCursor(
  trx: Knex,
  siteName: string,
  cursor: StoredCursor,
  { eventCreatedAt, fromReplica }: CursorRead,
): Promise<void> {
  await run(
    trx,
    `insert into geo_event_cursors (site_name, system_identifier, timeline, xact_id, event_id, arrived_below, event_created_at, updated_at)
     values (?, ?, ?, ?::xid8, ?::bigint, ?::xid8, ?::timestamptz, clock_timestamp())
     on conflict (site_name) do update set system_identifier = excluded.system_identifier, timeline = excluded.timeline,
       xact_id = excluded.xact_id, event_id = excluded.event_id,
       arrived_below = coalesce(excluded.arrived_below, geo_event_cursors.arrived_below),
       event_created_at = coalesce(excluded.event_created_at, geo_event_cursors.event_created_at), updated_at = excluded.updated_at`,
    [
      siteName,
      cursor.systemIdentifier,
      cursor.timeline,
      cursor.xactId,
      cursor.eventId,
      fromReplica ? cursor.xactId : null,
      eventCreatedAt,
    ],
  )
}

/** Remembers events that were handled before their turn. */
export async function rememberEarly(trx: Knex, events: readonly { id: string; xactId: string }[]): Promise<void> {
  await run(
    trx,
    `insert into geo_early_events (event_id, xact_id)
     select id, xact_id::xid8 from unnest(?::bigint[], ?::text[]) as e(id, xact_id) on conflict do nothing`,
    [events.map((event) => event.id), events.map((event) => event.xactId)],
  )
}

/** The ids of events that were handled early and that the position has not passed. */
export async function earlyIds(trx: Knex): Promise<string[]> {
  const { rows } = await run<{ rows: { id: string }[] }>(
    trx,
    'select event_id::text as id from geo_early_events order by event_id',
  )
  return rows.map((row) => row.id)
}

/** The first event that was handled early, in the order of the log; it may have come to its turn by now. */
export async function firstEarly(db: Knex): Promise<EventPosition | null> {
  const { rows } = await run<{ rows: EventPosition[] }>(
    db,
    `select xact_id::text as "xactId", event_id::text as "eventId" from geo_early_events e
     order by e.xact_id, e.event_id limit 1`,
  )
  return rows[0] ?? null
}

/** Forgets early events up to a position that has passed them. */
export async function forgetEarly(trx: Knex, passed: EventPosition): Promise<void> {
  await run(trx, 'delete from geo_early_events where (xact_id, event_id) <= (?::xid8, ?::bigint)', [
    passed.xactId,
    passed.eventId,
  ])
}

/** Forgets all of them: their ids mean nothing on another cluster or timeline. */
export async function forgetAllEarly(trx: Knex): Promise<void> {
  await run(trx, 'delete from geo_early_events')
}
