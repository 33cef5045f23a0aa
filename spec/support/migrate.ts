import createKnex from 'knex'
import { environment } from '../../fixtures/widget-app/knexfile.js'

/** Runs all migrations of the fixture host, the SDK's included, as the knex CLI would. */
export async function migrate(url: string, database: 'main' | 'tracking'): Promise<void> {
  const knex = createKnex(environment(database, url))
  try {
    await knex.migrate.latest()
  } finally {
    await knex.destroy()
  }
}
