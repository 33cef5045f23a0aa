import { type Query, SYNCED, TYPE_NAMES, TYPES } from './scene.ts'

/** Has the tracking database itself remember each key under which a row was ever called synced, whoever wrote that. */
export const REMEMBER_KEYS = [
  'create table chaos_named_keys (key text not null)',
  `create function chaos_named() returns trigger language plpgsql as $$
    begin insert into chaos_named_keys values (new.blob_key); return null; end $$`,
  ...TYPE_NAMES.map(
    (type) => `create trigger chaos_named after insert or update on ${TYPES[type].registry} for each row
      when (new.state = ${SYNCED} and new.blob_key is not null) execute function chaos_named()`,
  ),
].join(';\n')

export async function namedKeys(tracking: Query): Promise<Set<string>> {
  const rows = await tracking<{ key: string }>('select distinct key from chaos_named_keys')
  return new Set(rows.map(({ key }) => key))
}
