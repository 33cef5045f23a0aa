import type { Knex } from 'knex'
import { stateTableOf } from './blob/primary-checksum.ts'
import type { Replicable } from './blob/replicable.ts'
import { run } from './databases.ts'
import { MAIN_TABLES, TRACKING_TABLES } from './start-check.ts'
import { VERIFICATION_COLUMN_NAMES } from './verification/state-definition.ts'

/** What the role of a process needs in a database: docs/guides/database-roles.md says it to people. */
export interface Needed {
  readonly table: string
  readonly privileges: readonly string[]
  /** Where it is enough to have them on these columns. */
  readonly columns?: readonly string[]
}

const READ = ['select']
const WRITE = ['select', 'insert', 'update', 'delete']

export function neededInMain(replicables: readonly Replicable[], role: 'primary' | 'secondary'): Needed[] {
  const writes = role === 'primary'
  const own = MAIN_TABLES.map((table) => ({ table, privileges: writes ? WRITE : READ }))
  return [...own, ...replicables.flatMap((replicable) => neededOf(replicable, writes))]
}

export function neededInTracking(replicables: readonly Replicable[]): Needed[] {
  const registries = replicables.map(({ names }) => names.registryTable)
  return [...TRACKING_TABLES, 'geo_bandwidth', ...registries].map((table) => ({ table, privileges: WRITE }))
}

function neededOf(replicable: Replicable, writes: boolean): Needed[] {
  const read = { table: replicable.table, privileges: READ }
  const { table } = stateTableOf(replicable)
  if (!writes) return [read, { table, privileges: READ }]
  if (table !== replicable.table) return [read, { table, privileges: WRITE }]
  return [read, { table, privileges: ['update'], columns: VERIFICATION_COLUMN_NAMES }]
}

/** What the role that this connection logs in with lacks of it, as statements. A table that is not there lacks nothing. */
export async function missingGrants(db: Knex, needed: readonly Needed[]): Promise<string[]> {
  const each = needed.flatMap(({ table, privileges, columns }) =>
    privileges.map((privilege) => ({ table, privilege, columns: columns ?? [] })),
  )
  const { rows } = await run<{ rows: { at: number; role: string }[] }>(
    db,
    `select n.at, current_user::text as role from unnest(?::text[], ?::text[]) with ordinality as n(name, privilege, at)
     where to_regclass(n.name) is not null and not has_table_privilege(to_regclass(n.name), n.privilege)`,
    [each.map(({ table }) => table), each.map(({ privilege }) => privilege)],
  )
  const missing: string[] = []
  for (const { at, role } of rows) {
    const grant = each[Number(at) - 1]
    if (!grant || (grant.columns.length > 0 && (await mayColumns(db, grant)))) continue
    const columns = grant.columns.length > 0 ? ` (${grant.columns.join(', ')})` : ''
    missing.push(`grant ${grant.privilege}${columns} on ${grant.table} to ${role}`)
  }
  return missing
}

/** What the role of this connection lacks to promote its database, as statements. */
export async function missingToPromote(main: Knex): Promise<string[]> {
  const { rows } = await run<{ rows: { role: string; may: boolean }[] }>(
    main,
    "select current_user::text as role, has_function_privilege('pg_promote(boolean, integer)', 'execute') as may",
  )
  return rows
    .filter(({ may }) => !may)
    .map(({ role }) => `grant execute on function pg_promote(boolean, integer) to ${role}`)
}

async function mayColumns(
  db: Knex,
  { table, privilege, columns }: { table: string; privilege: string; columns: readonly string[] },
): Promise<boolean> {
  const { rows } = await run<{ rows: { may: boolean }[] }>(
    db,
    'select coalesce(bool_and(has_column_privilege(to_regclass(?), name, ?)), true) as may from unnest(?::text[]) as name',
    [table, privilege, columns],
  )
  return rows[0]?.may === true
}
