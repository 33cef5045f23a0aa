import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_events (
      id bigserial primary key,
      replicable_name varchar(255) not null,
      event_name varchar(255) not null,
      payload jsonb not null default '{}',
      created_at timestamptz not null default now(),
      xact_id xid8 not null default pg_current_xact_id()
    )`)
  // The order in which secondaries read the log: by writing transaction, not by id.
  await knex.raw('create index index_geo_events_on_xact_id_and_id on geo_events (xact_id, id)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_events')
}
