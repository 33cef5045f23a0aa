import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      -- In which this site became the primary. The greatest of all is the epoch of this database.
      add column epoch integer not null default 0 check (epoch >= 0),
      -- A later epoch that this site has heard of while it was the primary: it serves nothing any more.
      add column fenced_by_epoch integer,
      add column fenced_at timestamptz,
      -- The host's writes are refused from the first moment on; at the second one the last of those before had ended.
      add column read_only_since timestamptz,
      add column read_only_sealed_at timestamptz,
      add column read_only_message varchar(255)`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      drop column epoch,
      drop column fenced_by_epoch,
      drop column fenced_at,
      drop column read_only_since,
      drop column read_only_sealed_at,
      drop column read_only_message`)
}
