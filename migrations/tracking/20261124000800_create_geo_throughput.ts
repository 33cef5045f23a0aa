import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_throughput (
      -- What was done in the ten seconds that begin here, by the clock of this database.
      slot_at timestamptz not null,
      replicable_name text not null,
      kind text not null,
      blobs bigint not null,
      bytes bigint not null default 0,
      -- Of verified copies: how many became so within each bound of the histogram of lag; cumulative counts are made of these.
      lag_counts bigint[],
      primary key (slot_at, replicable_name, kind)
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_throughput')
}
