import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_event_cursors (
      site_name varchar(255) primary key,
      system_identifier text not null,
      timeline integer not null,
      xact_id xid8 not null,
      event_id bigint not null,
      event_created_at timestamptz,
      updated_at timestamptz not null default now()
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_event_cursors')
}
