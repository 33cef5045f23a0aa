import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_bulk_runs (
      id bigserial primary key,
      action varchar(32) not null,
      replicable_name varchar(255) not null,
      filter jsonb not null default '{}',
      dry_run boolean not null,
      requested_by varchar(255),
      created_at timestamptz not null default clock_timestamp(),
      started_at timestamptz,
      finished_at timestamptz,
      cancelled_at timestamptz,
      -- The walk: from the lowest to the highest key at the start, and where it has come to.
      first_key text,
      last_key text,
      after_key text,
      walked boolean not null default false,
      -- Keys of rows that someone else had locked: they are looked at again.
      left_over text[] not null default '{}',
      page_size integer not null default 500,
      examined bigint not null default 0,
      changed bigint not null default 0,
      -- The last page that failed.
      failed_at timestamptz,
      failure varchar(255)
    )`)
  await knex.raw(`
    create unique index index_geo_bulk_runs_active on geo_bulk_runs (action, replicable_name, dry_run)
    where finished_at is null and cancelled_at is null`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_bulk_runs')
}
