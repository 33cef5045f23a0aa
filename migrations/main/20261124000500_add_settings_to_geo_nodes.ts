import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      -- What all processes of the site together may receive; null is unlimited.
      add column transfer_bytes_per_second bigint,
      -- Days after which a secondary hashes its verified copies again; null is never.
      add column copies_reverification_interval integer,
      add column selective_sync_namespace_ids text[] not null default '{}',
      alter column selective_sync_shards type text[] using coalesce(string_to_array(selective_sync_shards, ','), '{}'),
      alter column selective_sync_shards set default '{}',
      alter column selective_sync_shards set not null,
      add constraint geo_nodes_transfer_rate_positive check (transfer_bytes_per_second >= 1024),
      add constraint geo_nodes_copies_interval_positive check (copies_reverification_interval >= 1)`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      drop column transfer_bytes_per_second,
      drop column copies_reverification_interval,
      drop column selective_sync_namespace_ids,
      alter column selective_sync_shards drop not null,
      alter column selective_sync_shards drop default,
      alter column selective_sync_shards type text using nullif(array_to_string(selective_sync_shards, ','), '')`)
}
