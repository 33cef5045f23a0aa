import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_events add column by_trigger boolean not null default false')
  // Has a trigger told of this write already, which the host tells of too? Hosts without triggers have nothing in it.
  await knex.raw(
    `create index index_geo_events_by_trigger on geo_events (xact_id, replicable_name, (payload ->> 'model_record_id'))
     where by_trigger`,
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.alterTable('geo_events', (table) => table.dropColumn('by_trigger'))
}
