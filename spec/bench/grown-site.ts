import { join } from 'node:path'
import type { Knex } from 'knex'
import type { Replicable } from '../../lib/blob/replicable.ts'
import {
  addVerificationColumns,
  createRegistryTable,
  createVerificationStateTable,
  defineReplicable,
  localDisk,
} from '../../lib/index.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { addSites } from '../support/fixture-rows.ts'
import { openDatabases } from './database.ts'

/** How large a site is. */
export interface Size {
  /** Rows that are replicated and verified, over all types. */
  readonly rows: number
  readonly types: number
  /** What the planner knows of them: all that is true, or what was true while half of them were still to be done. */
  readonly statistics: 'fresh' | 'old'
  /** Where the types keep their files: before one is replaced or removed, all that share its folder are asked who else has it. */
  readonly folders: 'own' | 'one'
}

/** Both databases of a secondary as they are after years, with a backlog of a few thousand of everything. */
export interface GrownSite extends SpecDatabases {
  /** The first has half of the rows and the backlog; the others share the rest. */
  readonly types: readonly Replicable[]
  readonly busy: Replicable
  /** Of the busy type; the keys of its backlog are above. */
  readonly settledRows: number
  /** Keeps its checksums on the host's own table, half of whose rows have no file. On the primary alone. */
  readonly avatars: Replicable
}

/** Rows of the busy type that are new to the primary, to be fetched, to be verified, to be removed, and failed but not due: so many each. */
export const BACKLOG = 2000
export const SITE = 'paris'

export async function openGrownSite(size: Size, folder: string): Promise<GrownSite> {
  const databases = await openDatabases()
  try {
    const { main, tracking } = databases
    await addSites(main, SITE)
    const types: Replicable[] = []
    for (let number = 0; number < size.types; number += 1) {
      const name = `kind${number}`
      types.push(declare(name, 'separate', size.folders === 'one' ? folder : join(folder, name)))
      await main.raw('create table ?? (id bigserial primary key, name text not null, file_path text)', [`${name}s`])
      await createVerificationStateTable(main, name, { table: `${name}s` })
      await createRegistryTable(tracking, name)
    }
    const avatars = declare('avatar', 'columns', join(folder, 'avatar'))
    await main.raw('create table avatars (id bigserial primary key, name text not null, file_path text)')
    await addVerificationColumns(main, 'avatar', { table: 'avatars' })
    const [busy, ...others] = types
    if (!busy) throw new Error('A site has at least one type')
    const share = others.length === 0 ? size.rows : size.rows / 2
    await fillSettled(databases, busy, Math.round(share))
    for (const type of others) await fillSettled(databases, type, Math.round(share / others.length))
    await fillBacklog(databases, busy, Math.round(share))
    await fillAvatars(main, size.rows)
    for (const db of [main, tracking]) {
      await db.raw('create extension pg_stat_statements')
      await db.raw('vacuum analyze')
    }
    if (size.statistics === 'old') for (const db of [main, tracking]) await makeOld(db, busy)
    await databases.caughtUp()
    return { ...databases, types, busy, settledRows: Math.round(share), avatars }
  } catch (reason) {
    await databases.destroy()
    throw reason
  }
}

interface Uploaded {
  readonly file_path: string | null
}

function declare(name: string, verificationState: 'separate' | 'columns', folder: string): Replicable {
  return defineReplicable<Uploaded>({
    name,
    table: `${name}s`,
    verificationState,
    store: localDisk({ root: folder }),
    blob: (row) => row.file_path,
    available: (query) => query.whereNotNull('file_path'),
  }) as Replicable
}

const CHECKSUM = `'\\x01'::bytea || decode(lpad(to_hex(n), 16, '0'), 'hex')`
const LONG_AGO = `now() - interval '100 days' + n * interval '1 ms'`

async function insertHostRows(main: Knex, { table, name }: Replicable, from: number, to: number): Promise<void> {
  await main.raw(
    `insert into ?? (id, name, file_path)
     select n, 'w', ? || '/' || md5(n::text) || '.jpg' from generate_series(?::int, ?::int) n`,
    [table, name, from, to],
  )
}

/** Rows that are there, hashed, fetched and verified. */
async function fillSettled(databases: SpecDatabases, type: Replicable, rows: number): Promise<void> {
  const { main } = databases
  const { names, table } = type
  await insertHostRows(main, type, 1, rows)
  await main.raw(
    `insert into ?? (??, verification_state, verification_started_at, verification_checksum, verified_at, verification_retry_count)
     select n, 2, ${LONG_AGO}, ${CHECKSUM}, ${LONG_AGO}, 0 from generate_series(1, ?::int) n`,
    [names.stateTable, names.foreignKey, rows],
  )
  await insertRegistry(databases, type, 'state, verification_state', '2, 2', 1, rows)
  await main.raw(`select setval(pg_get_serial_sequence(?, 'id'), ?::bigint)`, [table, rows + 5 * BACKLOG])
}

const COPY = 'blob_key, bytes, row_version, last_synced_at, verified_at, verification_checksum'

/** As what was fetched when the host's rows were as they are. */
async function insertRegistry(
  { main, tracking }: SpecDatabases,
  { names, name, table }: Replicable,
  columns: string,
  values: string,
  from: number,
  to: number,
): Promise<void> {
  const host = await main(table).where({ id: to }).first<{ version: string }>(main.raw('xmin::text as version'))
  await tracking.raw(
    `insert into ?? (??, created_at, ${COPY}, ${columns})
     select n, ${LONG_AGO}, ? || '/' || md5(n::text) || '.jpg', 10240, ?::bigint, ${LONG_AGO}, ${LONG_AGO}, ${CHECKSUM}, ${values}
     from generate_series(?::int, ?::int) n`,
    [names.registryTable, names.foreignKey, name, host?.version ?? null, from, to],
  )
}

async function fillBacklog(databases: SpecDatabases, type: Replicable, rows: number): Promise<void> {
  const { main, tracking } = databases
  const { names } = type
  const part = (number: number) => [rows + number * BACKLOG + 1, rows + (number + 1) * BACKLOG] as const
  await insertHostRows(main, type, rows + 1, rows + 5 * BACKLOG)
  await main.raw(
    `insert into ?? (??, verification_state, verification_checksum, verified_at)
     select n, case when n <= ? then 0 else 2 end, case when n > ? then ${CHECKSUM} end, case when n > ? then ${LONG_AGO} end
     from generate_series(?::int, ?::int) n`,
    [names.stateTable, names.foreignKey, ...Array(3).fill(rows + BACKLOG), rows + 1, rows + 5 * BACKLOG],
  )
  // The first part is new to the primary, which has not told of it.
  await tracking.raw(
    `insert into ?? (??, created_at, announced_at) select n, now(), now() from generate_series(?::int, ?::int) n`,
    [names.registryTable, names.foreignKey, ...part(1)],
  )
  await insertRegistry(databases, type, 'state, verification_state', '2, 0', ...part(2))
  await insertRegistry(databases, type, 'state, verification_state, removal_requested_at', '2, 2, now()', ...part(3))
  const failed = `3, 4, 5, now() + interval '1 day' + n * interval '1 ms'`
  await insertRegistry(databases, type, 'state, verification_state, retry_count, retry_at', failed, ...part(4))
}

async function fillAvatars(main: Knex, rows: number): Promise<void> {
  await main.raw(
    `insert into avatars (id, name, file_path, verification_state, verification_checksum, verified_at)
     select n, 'a', case when n % 2 = 0 then 'avatar/' || md5(n::text) end, case when n % 2 = 0 then 2 else 0 end,
       case when n % 2 = 0 then ${CHECKSUM} end, case when n % 2 = 0 then ${LONG_AGO} end
     from generate_series(1, ?::int) n`,
    [rows],
  )
  await main.raw(`select setval('avatars_id_seq', ?::bigint)`, [rows])
}

/** As if the last analysis had been made when half of what is synced now was pending, and half of that to be hashed. */
async function makeOld(db: Knex, { names }: Replicable): Promise<void> {
  const halves = { state: '{2,0}', verification_state: '{2,0}' }
  for (const table of [names.registryTable, names.stateTable]) {
    for (const [column, values] of Object.entries(halves)) {
      await db.raw(
        `select pg_restore_attribute_stats('schemaname', 'public', 'relname', c.relname::text, 'attname', a.attname::text,
           'inherited', false, 'null_frac', 0::real, 'n_distinct', 2::real,
           'most_common_vals', ?::text, 'most_common_freqs', '{0.5,0.5}'::real[])
         from pg_class c join pg_attribute a on a.attrelid = c.oid where c.relname = ? and a.attname = ?`,
        [values, table, column],
      )
    }
    await db.raw(`do $$ begin if to_regclass('${table}') is not null then
      execute 'alter table ${table} set (autovacuum_enabled = off)'; end if; end $$`)
  }
}
