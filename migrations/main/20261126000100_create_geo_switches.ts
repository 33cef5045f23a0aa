import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // The flags as the primary's processes have them, for triggers: a database cannot ask Unleash. A type without a row is off.
  await knex.raw(`
    create table geo_switches (
      replicable_name varchar(255) primary key,
      enabled boolean not null,
      updated_at timestamptz not null default now()
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_switches')
}
