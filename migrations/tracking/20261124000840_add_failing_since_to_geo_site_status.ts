import type { Knex } from 'knex'

/** Since when the primary has taken no report; null while it takes them. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_site_status add report_failing_since timestamptz')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_site_status drop column report_failing_since')
}
