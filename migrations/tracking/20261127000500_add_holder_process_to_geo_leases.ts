import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // Which process holds the lease, for others on its host to see that it has ended; null where its system does not tell.
  await knex.raw(
    'alter table geo_leases add column holder_host text, add column holder_pid integer, add column holder_started bigint',
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table geo_leases drop column holder_host, drop column holder_pid, drop column holder_started')
}
