import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_site_status (
      -- The one row of this site.
      single boolean primary key default true check (single),
      status jsonb not null default '{}',
      gathered_at timestamptz,
      -- Milliseconds that the clock of this site is ahead of the primary's, and when that was measured.
      clock_skew_ms double precision,
      reported_at timestamptz,
      -- Reports in a row that the primary did not take, all of them since ever, and why the last one failed.
      reports_failed integer not null default 0,
      reports_failed_total bigint not null default 0,
      report_failure text
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_site_status')
}
