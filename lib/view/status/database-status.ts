import type { Knex } from 'knex'
import { bounded, run } from '../../databases.ts'

/** What a site's databases say of replication and of the event log, by the names of the fields. One statement each. */

/** On the primary: its physical replication slots. */
export async function slotStatus(main: Knex): Promise<Record<string, number | null>> {
  return first(
    main,
    `select count(*)::int as "replication_slots_count", (count(*) filter (where active))::int as "replication_slots_used_count",
       max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))::float8 as "replication_slots_max_retained_wal_bytes"
     from pg_replication_slots where slot_type = 'physical'`,
  )
}

/** On a secondary: how far its replica is behind. */
export async function lagStatus(replica: Knex): Promise<Record<string, number | null>> {
  return first(
    replica,
    `select case when not pg_is_in_recovery() then null
       when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
       else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::int end as "db_replication_lag_seconds"`,
  )
}

/** The newest event that this site sees. Ids rise with time closely enough for people; positions do not rest on them. */
export async function eventStatus(main: Knex): Promise<Record<string, number | null>> {
  return first(
    main,
    `select max(id)::float8 as "last_event_id",
       (select extract(epoch from created_at)::int8::float8 from geo_events order by id desc limit 1) as "last_event_timestamp"
     from geo_events`,
  )
}

/** How far a secondary has read. */
export async function cursorStatus(tracking: Knex, siteName: string): Promise<Record<string, number | null>> {
  return first(
    tracking,
    `select event_id::float8 as "cursor_last_event_id",
       extract(epoch from event_created_at)::int8::float8 as "cursor_last_event_timestamp"
     from geo_event_cursors where site_name = ?`,
    [siteName],
  )
}

async function first(db: Knex, sql: string, bindings: readonly unknown[] = []): Promise<Record<string, number | null>> {
  const { rows } = await bounded(db, (trx) => run<{ rows: Record<string, number | null>[] }>(trx, sql, bindings))
  return rows[0] ?? {}
}
