import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // When the folder was last walked in search of files that nobody names.
  await knex.raw('alter table geo_stores add column swept_at timestamptz')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_stores drop column swept_at')
}
