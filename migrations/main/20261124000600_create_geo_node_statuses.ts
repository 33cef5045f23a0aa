import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_node_statuses (
      geo_node_id bigint primary key references geo_nodes (id) on delete cascade,
      -- Up to where the secondary has read the event log, in the numbers of this cluster on this timeline.
      cursor_xact_id xid8,
      cursor_event_id bigint,
      system_identifier text,
      timeline integer,
      last_successful_status_check_at timestamptz,
      status jsonb not null default '{}',
      created_at timestamptz not null default now(),
      -- Of the status: when it was gathered anew.
      updated_at timestamptz
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_node_statuses')
}
