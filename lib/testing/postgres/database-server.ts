import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** Databases with all migrations run and no rows, made once per run. */
export const MAIN_TEMPLATE = 'geo_main_template'
export const TRACKING_TEMPLATE = 'geo_tracking_template'

const BUSY_ATTEMPTS = 200
const BUSY_PAUSE_MS = 50
const OBJECT_IN_USE = '55006'

/** The same server, another database. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}

export async function createDatabase(serverUrl: string, name: string, template?: string): Promise<void> {
  const from = template === undefined ? '' : ` template ${pg.escapeIdentifier(template)}`
  await withClient(serverUrl, async (client) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await client.query(`create database ${pg.escapeIdentifier(name)}${from}`)
        return
      } catch (error) {
        // Another worker copies the same template at this moment.
        if ((error as pg.DatabaseError).code !== OBJECT_IN_USE || attempt === BUSY_ATTEMPTS) throw error
        await sleep(BUSY_PAUSE_MS)
      }
    }
  })
}

/** Cuts whoever is still connected to it. */
export async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await withClient(serverUrl, (client) =>
    client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`),
  )
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end()
  }
}
