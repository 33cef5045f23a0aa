import { withClient } from '../../lib/testing/postgres/database-server.ts'
import { readGuide } from './guide.ts'
import { migrate } from './migrate.ts'

/** The roles of docs/guides/database-roles.md, made and granted as it says there. */

const GUIDE = 'database-roles.md'
const ALREADY_THERE = '42710'

/** A block of the guide, by what follows its language. */
export async function roleBlock(subject: string): Promise<string> {
  const block = (await readGuide(GUIDE)).find((each) => each.language === 'sql' && each.subject === subject)
  if (!block) throw new Error(`${GUIDE} has no block "${subject}"`)
  return block.text
}

/** The same block for the other of the two sites. */
export async function exchangedBlock(subject: string): Promise<string> {
  const exchanged = { app_tokyo: 'app_paris', app_paris: 'app_tokyo' }
  return (await roleBlock(subject)).replaceAll(/app_(?:tokyo|paris)/g, (role) => exchanged[role as 'app_tokyo'])
}

/** The address of the same database, for another role. The guide names a password for each that logs in. */
export async function urlAs(role: string, url: string): Promise<string> {
  const all = (await readGuide(GUIDE)).map(({ text }) => text).join('\n')
  const [, password] = new RegExp(`create role ${role} login password '([^']+)'`).exec(all) ?? []
  if (password === undefined) throw new Error(`${GUIDE} makes no role ${role} that logs in`)
  const own = new URL(url)
  own.username = role
  own.password = password
  return own.href
}

/** The block on the SDK's own tables, where the knexfile names no table of migrations. */
export async function systemBlock(): Promise<string> {
  return (await roleBlock('system')).replace('knex_migrations_main', 'knex_migrations')
}

/** Migrates a main database as its owner, and grants nothing but what the guide says: processes of sites are others. */
export async function migrateWithRoles(url: string): Promise<void> {
  await followRoles(url, 'roles')
  const owner = await urlAs('app_owner', url)
  await migrate(owner, 'main')
  await followRoles(owner, 'system', 'separate', 'columns', 'app')
}

/** Runs blocks of the guide, in a database, each as one goes through it statement by statement. */
export async function followRoles(url: string, ...subjects: readonly string[]): Promise<void> {
  await followBlocks(url, await Promise.all(subjects.map(roleBlock)))
}

/** The same with blocks as a host reads them that has other tables. */
export async function followBlocks(url: string, blocks: readonly string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const statement of blocks.flatMap(statementsOf)) {
      try {
        await client.query(statement)
      } catch (reason) {
        // Roles are those of a server, and an outside one may have them of an earlier run.
        if (!/^create role/.test(statement) || (reason as { code?: string }).code !== ALREADY_THERE) throw reason
      }
    }
  })
}

function statementsOf(block: string): string[] {
  // A block of PL/pgSQL has semicolons of its own.
  return block
    .split(/;\n(?=(?:[^$]*\$\$[^$]*\$\$)*[^$]*$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
