import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // Which names the files of its records may have got under the lease, in the order of record_ids; null: none. Noted before the first
  // gets its name, for whoever takes the records over.
  await knex.raw('alter table geo_leases add column file_keys text[]')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_leases drop column file_keys')
}
