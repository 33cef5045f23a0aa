import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_reconciliations (
      replicable_name varchar(255) primary key,
      -- A whole pass that begins after this moment is owed, and why.
      asked_at timestamptz,
      asked_because varchar(64),
      -- The last whole pass and the selection it was made by: what a later one finds has arisen since.
      selection jsonb,
      began_at timestamptz,
      ended_at timestamptz
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_reconciliations')
}
