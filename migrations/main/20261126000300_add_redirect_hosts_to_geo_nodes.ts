import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      -- Beside its own, where other sites may be sent by it for a blob.
      add column redirect_hosts text[] not null default '{}'`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.alterTable('geo_nodes', (table) => table.dropColumn('redirect_hosts'))
}
