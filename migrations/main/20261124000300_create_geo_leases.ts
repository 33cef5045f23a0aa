import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_leases (
      id bigserial primary key,
      kind varchar(64) not null,
      replicable_name varchar(255),
      holder uuid not null,
      record_ids text[] not null default '{}',
      acquired_at timestamptz not null default clock_timestamp(),
      expires_at timestamptz not null
    )`)
  // Counting the live leases of a kind.
  await knex.raw('create index index_geo_leases_on_kind_and_expires_at on geo_leases (kind, expires_at)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_leases')
}
