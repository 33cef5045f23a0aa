import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      -- The key that takes over from access_key: good at once, used from then on, alone from the last moment on.
      add column next_access_key varchar(255),
      add column encrypted_next_secret_access_key bytea,
      add column encrypted_next_secret_access_key_iv bytea,
      add column next_key_from timestamptz,
      add column old_key_until timestamptz,
      add constraint check_next_key check (num_nulls(next_access_key, encrypted_next_secret_access_key,
        encrypted_next_secret_access_key_iv, next_key_from, old_key_until) in (0, 5))`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table geo_nodes
      drop column next_access_key,
      drop column encrypted_next_secret_access_key,
      drop column encrypted_next_secret_access_key_iv,
      drop column next_key_from,
      drop column old_key_until`)
}
