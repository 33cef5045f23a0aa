import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { environment } from '../../fixtures/widget-app/knexfile.js'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { startCluster } from '../../lib/testing/postgres/cluster.ts'
import { createDatabase, databaseUrl, dropDatabase, withClient } from '../../lib/testing/postgres/database-server.ts'
import { dumpCatalogs } from './catalog-dump.ts'
import { lineDiff } from './line-diff.ts'
import { migrate } from './migrate.ts'

/** Writes fixtures/schema.sql from freshly migrated databases, or with --check compares it with them and exits 1 on a difference. */

const SCHEMA_FILE = fileURLToPath(new URL('../../fixtures/schema.sql', import.meta.url))

const HEADINGS = {
  main: 'Main database: the host app and what the SDK adds to it',
  tracking: "Tracking database: a secondary's own",
} as const

type Database = keyof typeof HEADINGS

async function dumpSchema(): Promise<string> {
  const outside = process.env['GEO_TEST_DATABASE_URL']
  if (outside) return dumpOn(outside)
  const folder = await temporaryFolder('geo-schema-')
  try {
    const cluster = await startCluster({ dir: join(folder, 'data'), settings: { fsync: 'off' } })
    try {
      return await dumpOn(cluster.url())
    } finally {
      await cluster.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function dumpOn(serverUrl: string): Promise<string> {
  const parts = ['-- Written by npm run schema from the migrations. Do not edit.\n']
  for (const database of ['main', 'tracking'] as const) {
    parts.push(`--\n-- ${HEADINGS[database]}\n--\n`, await dumpMigrated(serverUrl, database))
  }
  return parts.join('\n')
}

async function dumpMigrated(serverUrl: string, database: Database): Promise<string> {
  const name = `geo_schema_${database}_${process.pid}`
  const url = databaseUrl(serverUrl, name)
  await createDatabase(serverUrl, name)
  try {
    await migrate(url, database)
    const knexTable = environment(database, url).migrations?.tableName ?? 'knex_migrations'
    return await withClient(url, (client) => dumpCatalogs(client, [knexTable, `${knexTable}_lock`]))
  } finally {
    await dropDatabase(serverUrl, name)
  }
}

const { values: options } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const schema = await dumpSchema()
if (!options.check) {
  await writeFile(SCHEMA_FILE, schema)
} else {
  const golden = await readFile(SCHEMA_FILE, 'utf8').catch((reason: NodeJS.ErrnoException) => {
    if (reason.code === 'ENOENT') return ''
    throw reason
  })
  if (golden !== schema) {
    console.error(`fixtures/schema.sql is not what the migrations make (- in the file, + from the migrations):\n`)
    console.error(lineDiff(golden, schema))
    console.error('\nIf that change is meant, run npm run schema and commit the file.')
    process.exitCode = 1
  }
}
