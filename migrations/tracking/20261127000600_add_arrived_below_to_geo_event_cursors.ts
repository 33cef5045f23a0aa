import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // The position as it was last while the main database was a replica: every transaction below had arrived when it was promoted. With
  // the promotion, what was still open on the former primary counts as ended, and the position passes it.
  await knex.raw('alter table geo_event_cursors add column arrived_below xid8')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_event_cursors drop column arrived_below')
}
