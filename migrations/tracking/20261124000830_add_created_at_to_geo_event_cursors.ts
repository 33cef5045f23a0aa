import type { Knex } from 'knex'

/** Since when this site has followed the log with this database: older than the site itself, it was another site's. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_event_cursors add created_at timestamptz not null default clock_timestamp()')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_event_cursors drop column created_at')
}
