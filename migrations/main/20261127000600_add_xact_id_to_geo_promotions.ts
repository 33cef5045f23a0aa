import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // The transaction that made it: what this database wrote as that site's comes after.
  await knex.raw('alter table geo_promotions add column xact_id xid8 not null default pg_current_xact_id()')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_promotions drop column xact_id')
}
