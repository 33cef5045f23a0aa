import type { Knex } from 'knex'
import { quoteTable } from '../verification/live-table.ts'
import { RESET } from '../verification/primary-state.ts'

export interface TriggeredTable {
  readonly name: string
  readonly table: string
  readonly keyColumn: string
  readonly blobColumn: string | null
  /** Where the primary's verification state lies. */
  readonly state: { readonly separate: boolean; readonly table: string; readonly key: string }
}

/**
 * The function behind the triggers of a type: does what `geo.replicator` does, under the same conditions (GB.C.2), which
 * `geo_nodes` and `geo_switches` say here. Every name is bound to its schema as it is found now, for the search path of whoever
 * writes the table is anybody's.
 */
export async function triggerFunction(
  trx: Knex,
  called: string,
  { name, ...written }: TriggeredTable,
): Promise<string> {
  const events = await placeOf(trx, 'geo_events')
  const nodes = await placeOf(trx, 'geo_nodes')
  const switches = await placeOf(trx, 'geo_switches')
  // Made with that table, in its schema.
  const admit = nodes.replace(/geo_nodes$/, 'geo_admit_write')
  const states = await placeOf(trx, quoteTable(written.state.table))
  const key = `"${written.keyColumn}"`
  const stateKey = `"${written.state.key}"`
  const path = written.blobColumn === null ? '' : `, 'blob_path', old."${written.blobColumn}"::text`
  const tell = (event: string, row: 'old' | 'new', further = '') =>
    `insert into ${events} (replicable_name, event_name, payload, by_trigger)
      select '${name}', '${event}', jsonb_strip_nulls(jsonb_build_object('model_record_id', ${row}.${key}::text${further})), true
      where exists (select from ${nodes} where not "primary");`
  const forget = `update ${states} set ${RESET} where ${stateKey} = new.${key};`
  const request = written.state.separate
    ? `insert into ${states} (${stateKey}) values (new.${key}) on conflict (${stateKey}) do update set ${RESET};`
    : forget
  return `create or replace function ${called}() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $geo$
    declare
      is_primary constant boolean not null := exists (select from ${nodes} where "primary");
      is_on constant boolean not null := exists (select from ${switches} where replicable_name = '${name}' and enabled);
      other_row constant boolean not null := tg_op = 'UPDATE' and old.${key} is distinct from new.${key};
    begin
      if not is_primary then
        return null;
      end if;
      perform ${admit}(true, null, null);
      if not is_on then
        -- What is recorded of the former file must not stand when the flag comes on.
        if tg_op = 'UPDATE' then ${forget} end if;
        return null;
      end if;
      if tg_op = 'DELETE' or other_row then
        ${tell('deleted', 'old', path)}
      end if;
      if tg_op = 'INSERT' or other_row then
        ${written.state.separate ? `insert into ${states} (${stateKey}) values (new.${key}) on conflict do nothing;` : ''}
        ${tell('created', 'new')}
      elsif tg_op = 'UPDATE' then
        ${request}
        ${tell('updated', 'new')}
      end if;
      return null;
    end
    $geo$`
}

async function placeOf(trx: Knex, table: string): Promise<string> {
  const { rows } = await trx.raw<{ rows: { place: string }[] }>(
    `select format('%I.%I', n.nspname, c.relname) as place from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = ?::regclass`,
    [table],
  )
  const [found] = rows
  if (!found) throw new Error(`There is no ${table}`)
  return found.place
}
