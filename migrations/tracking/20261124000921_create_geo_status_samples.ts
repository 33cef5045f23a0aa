import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_status_samples (
      geo_node_id bigint not null,
      replicable_name text not null,
      -- The minute, by the clock of this database; the last status in a minute wins.
      sampled_at timestamptz not null,
      backlog bigint,
      blobs_per_second float8,
      bytes_per_second float8,
      lag_seconds float8,
      -- Read by site and time.
      primary key (geo_node_id, sampled_at, replicable_name)
    )`)
  // For what is too old.
  await knex.raw('create index index_geo_status_samples_on_sampled_at on geo_status_samples (sampled_at)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_status_samples')
}
