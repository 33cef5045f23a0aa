import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_stores (
      replicable_name varchar(255) not null,
      site_name varchar(255) not null,
      store_id uuid not null,
      created_at timestamptz not null default now(),
      primary key (replicable_name, site_name)
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_stores')
}
