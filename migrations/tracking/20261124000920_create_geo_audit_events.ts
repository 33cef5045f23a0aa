import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_audit_events (
      id bigint generated always as identity primary key,
      created_at timestamptz not null default now(),
      operator text,
      ip text,
      -- The name of the site that is changed.
      site text not null,
      action text not null,
      subject text,
      -- What was asked for. Never a secret.
      details jsonb not null default '{}',
      -- asked, done, or the code of what went wrong.
      outcome text not null
    )`)
  // For what is too old.
  await knex.raw('create index index_geo_audit_events_on_created_at on geo_audit_events (created_at)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_audit_events')
}
