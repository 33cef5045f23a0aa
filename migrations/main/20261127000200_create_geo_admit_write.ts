import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  // Every event that is written passes here, in the transaction of the host where it is the host's. Its tables are bound to their
  // schema, for triggers call it with a search path of their own.
  const { rows } = await knex.raw<{ rows: { schema: string }[] }>(
    `select quote_ident(n.nspname) as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = 'geo_nodes'::regclass`,
  )
  const schema = rows[0]?.schema
  await knex.raw(`
    create function ${schema}.geo_admit_write(of_host boolean, writer text, writer_epoch integer) returns boolean
    language plpgsql as $geo$
    declare
      own ${schema}.geo_nodes;
      current_epoch integer;
    begin
      if of_host then
        -- Whoever makes the site read only waits for all that hold this.
        perform pg_advisory_xact_lock_shared(hashtextextended('geo_host_writes', 0));
        -- A snapshot from before that shows a site that still takes writes. A lock on the row fails where it was changed since.
        if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
          perform from ${schema}.geo_nodes where "primary" for share;
        end if;
      end if;
      select * into own from ${schema}.geo_nodes where "primary";
      if not found then
        return true;
      end if;
      select max(epoch) into current_epoch from ${schema}.geo_nodes;
      if own.fenced_by_epoch > current_epoch then
        raise exception 'The site "%" is of epoch %, and another one has become the primary in epoch %', own.name, current_epoch, own.fenced_by_epoch
          using errcode = 'P0E01';
      end if;
      if writer is not null and (lower(writer) <> lower(own.name) or writer_epoch <> current_epoch) then
        raise exception 'The site "%" writes as the primary of epoch %; this is the database of "%", of epoch %', writer, writer_epoch, own.name, current_epoch
          using errcode = 'P0E01';
      end if;
      if of_host and own.read_only_since is not null then
        raise exception '%', coalesce(own.read_only_message, format('The site "%s" takes no writes for now', own.name))
          using errcode = 'P0E02';
      end if;
      return true;
    end
    $geo$`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop function geo_admit_write(boolean, text, integer)')
}
