import { readdirSync } from 'node:fs'
import type { Knex } from 'knex'
import { run } from '../databases.ts'
import { migrationFolders } from '../migration-folders.ts'
import { type Finding, finding } from './finding.ts'

type Database = keyof typeof migrationFolders

const known = new Map<Database, readonly string[]>()

/** The SDK's migrations of a database, in order, without the suffix: a host may run them as TypeScript or as built. */
function migrationsOf(database: Database): readonly string[] {
  const before = known.get(database)
  if (before) return before
  // Once in the life of a process, and a dozen names: no pause that anybody would notice.
  const names = readdirSync(migrationFolders[database])
    .filter((file) => /^\d+_\w+\.(js|ts)$/.test(file))
    .map((file) => file.replace(/\.\w+$/, ''))
    .sort()
  known.set(database, names)
  return names
}

/** Whether a database lacks migrations of this version. Nothing is said where the host made the tables in a way of its own. */
export async function checkMigrations(db: Knex, database: Database): Promise<Finding[]> {
  const wanted = migrationsOf(database)
  const applied = await appliedMigrations(db)
  const missing = wanted.filter((name) => !applied.has(name))
  const latest = wanted.findLast((name) => applied.has(name))
  if (missing.length === 0 || latest === undefined) return []
  const needed = wanted.at(-1)
  const message = `The ${database} database is at migration ${latest}, this version needs ${needed}; missing: ${missing.join(', ')}`
  return [finding('MIGRATIONS_PENDING', message)]
}

/** From every table that looks like one of Knex: what the host calls it is known to its knexfile alone. */
async function appliedMigrations(db: Knex): Promise<ReadonlySet<string>> {
  const { rows: tables } = await run<{ rows: { schema: string; name: string }[] }>(
    db,
    `select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and has_table_privilege(c.oid, 'select') and exists (
       select from pg_attribute a where a.attrelid = c.oid and a.attname = 'migration_time' and not a.attisdropped)`,
  )
  const applied = new Set<string>()
  for (const { schema, name } of tables) {
    const { rows } = await run<{ rows: { name: string }[] }>(db, 'select name from ??.??', [schema, name])
    for (const migration of rows) applied.add(String(migration.name).replace(/\.\w+$/, ''))
  }
  return applied
}
