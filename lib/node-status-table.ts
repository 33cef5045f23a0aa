import type { Knex } from 'knex'
import { run } from './databases.ts'
import type { ClusterIdentity, StoredCursor } from './event/cursor.ts'
import type { EventPosition } from './event/event-log.ts'
import { isoTime } from './iso-time.ts'

/** The door to geo_node_statuses: what secondaries have told the primary of themselves. */

/** What a site has gathered of itself, by the names of the fields. */
export type GatheredStatus = Readonly<Record<string, unknown>>

/** A secondary has told how far it is and, where it gathered anew, of itself. */
export async function storeReport(
  main: Knex,
  siteId: string,
  cursor: StoredCursor,
  status: GatheredStatus | null,
): Promise<void> {
  await run(
    main,
    `insert into geo_node_statuses as s (geo_node_id, cursor_xact_id, cursor_event_id, system_identifier, timeline,
       last_successful_status_check_at, status, updated_at)
     values (?, ?::xid8, ?::bigint, ?, ?, clock_timestamp(), coalesce(?::jsonb, '{}'), ?)
     on conflict (geo_node_id) do update set cursor_xact_id = excluded.cursor_xact_id,
       cursor_event_id = excluded.cursor_event_id, system_identifier = excluded.system_identifier,
       timeline = excluded.timeline, last_successful_status_check_at = excluded.last_successful_status_check_at,
       status = case when excluded.updated_at is null then s.status else excluded.status end,
       updated_at = coalesce(excluded.updated_at, s.updated_at)`,
    [
      siteId,
      cursor.xactId,
      cursor.eventId,
      cursor.systemIdentifier,
      cursor.timeline,
      status && JSON.stringify(status),
      status && main.raw('clock_timestamp()'),
    ],
  )
}

/** The primary has gathered its own. */
export async function storeOwnStatus(main: Knex, siteId: string, status: GatheredStatus): Promise<void> {
  await run(
    main,
    `insert into geo_node_statuses (geo_node_id, status, last_successful_status_check_at, updated_at)
     values (?, ?::jsonb, clock_timestamp(), clock_timestamp())
     on conflict (geo_node_id) do update set status = excluded.status, updated_at = excluded.updated_at,
       last_successful_status_check_at = excluded.last_successful_status_check_at`,
    [siteId, JSON.stringify(status)],
  )
}

/** What the primary's database holds of a site. Ages by the clock of the database that is asked; null where it never happened. */
export interface NodeStatus {
  readonly siteId: string
  readonly status: GatheredStatus
  /** ISO 8601. */
  readonly updatedAt: string | null
  readonly updatedAgeSeconds: number | null
  /** Unix seconds. */
  readonly lastReportAt: number | null
  readonly lastReportAgeSeconds: number | null
  /** Up to where it has read the event log; null where it has not told, as the primary itself. */
  readonly position: StoredCursor | null
}

/** Of all sites, by site id; on a secondary as the replica has it. */
export async function loadNodeStatuses(db: Knex): Promise<Map<string, NodeStatus>> {
  const age = (column: string) => `extract(epoch from clock_timestamp() - ${column})::float8`
  const { rows } = await run<{ rows: NodeStatus[] }>(
    db,
    `select geo_node_id::text as "siteId", status,
       ${isoTime('updated_at')} as "updatedAt",
       ${age('updated_at')} as "updatedAgeSeconds",
       extract(epoch from last_successful_status_check_at)::bigint::int8::float8 as "lastReportAt",
       ${age('last_successful_status_check_at')} as "lastReportAgeSeconds",
       case when cursor_xact_id is not null then jsonb_build_object('xactId', cursor_xact_id::text,
         'eventId', coalesce(cursor_event_id, 0)::text, 'systemIdentifier', system_identifier, 'timeline', timeline) end as "position"
     from geo_node_statuses`,
  )
  return new Map(rows.map((row) => [row.siteId, row]))
}

/**
 * Up to where every secondary has read the log, disabled ones too. One that has told nothing yet, or tells it in the numbers of
 * another cluster or timeline, has read nothing. Null where there is no secondary.
 */
export async function leastPosition(
  trx: Knex.Transaction,
  { systemIdentifier, timeline }: ClusterIdentity,
): Promise<EventPosition | null> {
  const { rows } = await run<{ rows: EventPosition[] }>(
    trx,
    `select xact_id::text as "xactId", event_id::text as "eventId" from (
       select coalesce(s.cursor_xact_id, '0') as xact_id, coalesce(s.cursor_event_id, 0) as event_id
       from geo_nodes n left join geo_node_statuses s
         on s.geo_node_id = n.id and s.system_identifier = ? and s.timeline = ?
       where not n."primary"
     ) as positions order by positions.xact_id, positions.event_id limit 1`,
    [systemIdentifier, timeline],
  )
  return rows[0] ?? null
}
