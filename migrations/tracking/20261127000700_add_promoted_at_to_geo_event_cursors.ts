import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // Where the site has been the primary since, its registries know nothing of what its own host wrote meanwhile.
  await knex.raw('alter table geo_event_cursors add column promoted_at timestamptz')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_event_cursors drop column promoted_at')
}
