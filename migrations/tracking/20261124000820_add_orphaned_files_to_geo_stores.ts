import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // How many files that nobody names were left where they were by the last walk; null where there was none.
  await knex.raw('alter table geo_stores add column orphaned_files bigint')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_stores drop column orphaned_files')
}
