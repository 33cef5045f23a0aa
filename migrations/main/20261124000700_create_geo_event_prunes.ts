import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_event_prunes (
      -- Of the cluster in whose numbers the position is.
      system_identifier text primary key,
      -- No event after this position has been pruned, and none up to it need be there.
      xact_id xid8 not null,
      event_id bigint not null,
      pruned_at timestamptz not null
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_event_prunes')
}
