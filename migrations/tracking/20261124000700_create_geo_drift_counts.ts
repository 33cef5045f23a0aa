import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_drift_counts (
      replicable_name varchar(255) not null,
      kind varchar(64) not null,
      count bigint not null,
      last_found_at timestamptz not null,
      primary key (replicable_name, kind)
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_drift_counts')
}
