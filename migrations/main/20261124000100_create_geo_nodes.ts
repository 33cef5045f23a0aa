import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_nodes (
      id bigserial primary key,
      "primary" boolean not null default false,
      enabled boolean not null default true,
      name varchar(255) not null,
      url text not null,
      internal_url text,
      access_key varchar(255) not null,
      encrypted_secret_access_key bytea not null,
      encrypted_secret_access_key_iv bytea not null,
      files_max_capacity integer not null default 10,
      repos_max_capacity integer not null default 10,
      verification_max_capacity integer not null default 10,
      container_repositories_max_capacity integer not null default 2,
      minimum_reverification_interval integer not null default 90,
      selective_sync_type varchar(255),
      selective_sync_shards text,
      sync_object_storage boolean not null default false,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      constraint geo_nodes_capacities_not_negative check (
        files_max_capacity >= 0 and repos_max_capacity >= 0
        and verification_max_capacity >= 0 and container_repositories_max_capacity >= 0
      ),
      constraint geo_nodes_reverification_interval_positive check (minimum_reverification_interval >= 1)
    )`)
  await knex.raw('create unique index index_geo_nodes_on_lower_name on geo_nodes (lower(name))')
  await knex.raw('create unique index index_geo_nodes_on_access_key on geo_nodes (access_key)')
  // Holds at most one row: two primaries would both hand out events and bytes.
  await knex.raw('create unique index index_geo_nodes_on_primary on geo_nodes ("primary") where "primary"')
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_nodes')
}
