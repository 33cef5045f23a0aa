import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table geo_promotions (
      -- Of the site that was promoted, from then on.
      epoch integer primary key,
      site_name varchar(255) not null,
      former_site_name varchar(255),
      promoted_at timestamptz not null default clock_timestamp(),
      -- The time of the last transaction that had reached the replica; null where the database was promoted before by hand.
      replayed_at timestamptz,
      -- Whether the former primary had ended its writes, and all of them had arrived.
      sealed boolean not null,
      -- What had arrived: every transaction below, and of the others those that are listed, as far as they wrote events.
      arrived_below xid8 not null,
      arrived_xact_ids xid8[] not null,
      -- Null while files are still looked at.
      ended_at timestamptz
    )`)
  await knex.raw(`
    create table geo_promotion_losses (
      epoch integer not null references geo_promotions on delete cascade,
      replicable_name varchar(255) not null,
      record_id text not null,
      blob_key text,
      -- What was found where the file should be.
      finding varchar(20) not null check (finding in ('missing', 'different', 'unproven', 'unreadable')),
      message text,
      primary key (epoch, replicable_name, record_id)
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('geo_promotion_losses')
  await knex.schema.dropTableIfExists('geo_promotions')
}
