import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_bandwidth (
      -- One row: what the processes of the site share.
      id smallint primary key check (id = 1),
      -- The limit under which it was booked; what was booked under another one is forgotten.
      bytes_per_second bigint not null,
      -- Until when the line is taken by what has been granted.
      booked_until timestamptz not null
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_bandwidth')
}
