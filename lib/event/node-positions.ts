import type { Knex } from 'knex'
import { run } from '../databases.ts'
import type { ClusterIdentity, StoredCursor } from './cursor.ts'
import type { EventPosition } from './event-log.ts'

/** The door to geo_node_statuses: what secondaries have told the primary of themselves. */

export async function storePosition(
  main: Knex,
  siteId: string,
  cursor: StoredCursor,
  status: Readonly<Record<string, unknown>>,
): Promise<void> {
  await run(
    main,
    `insert into geo_node_statuses (geo_node_id, cursor_xact_id, cursor_event_id, system_identifier, timeline,
       last_successful_status_check_at, status)
     values (?, ?::xid8, ?::bigint, ?, ?, clock_timestamp(), ?::jsonb)
     on conflict (geo_node_id) do update set cursor_xact_id = excluded.cursor_xact_id,
       cursor_event_id = excluded.cursor_event_id, system_identifier = excluded.system_identifier,
       timeline = excluded.timeline, status = excluded.status, updated_at = clock_timestamp(),
       last_successful_status_check_at = excluded.last_successful_status_check_at`,
    [siteId, cursor.xactId, cursor.eventId, cursor.systemIdentifier, cursor.timeline, JSON.stringify(status)],
  )
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
