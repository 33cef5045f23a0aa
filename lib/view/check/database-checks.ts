import type { Knex } from 'knex'
import { run } from '../../databases.ts'
import { messageOf } from '../../errors.ts'
import { checkMigrations } from '../migration-health.ts'
import { checkReplica } from '../replica-health.ts'
import { lagStatus } from '../status/database-status.ts'
import { type Check, no, noBy, noneOf, yes } from './outcome.ts'

export type DatabaseName = 'main' | 'tracking'

/** The first question about a database: the others have no answer without it. */
export function answers(which: DatabaseName, db: Knex): Check {
  return {
    name: `The ${which} database answers`,
    async ask() {
      try {
        await run(db, 'select 1')
        return yes()
      } catch (reason) {
        const advice = 'Check that PostgreSQL runs, and host, port, user and password of the connection.'
        return noBy('DATABASE_UNAVAILABLE', messageOf(reason), advice)
      }
    },
  }
}

const OLDEST_POSTGRES = 14

export function hasVersion(which: DatabaseName, db: Knex): Check {
  return {
    name: `The ${which} database is PostgreSQL ${OLDEST_POSTGRES} or newer`,
    async ask() {
      const { version } = await one<{ version: number }>(
        db,
        `select current_setting('server_version_num')::int as version`,
      )
      const major = Math.floor(version / 10_000)
      const text = `${major}.${version % 10_000}`
      return major >= OLDEST_POSTGRES ? yes(text) : no(`It is ${text}`, 'Upgrade the server.')
    },
  }
}

export function isWritable(which: DatabaseName, db: Knex): Check {
  return {
    name: `The ${which} database is writable`,
    async ask() {
      const { recovering } = await one<{ recovering: boolean }>(db, 'select pg_is_in_recovery() as recovering')
      if (!recovering) return yes()
      return no(
        'It is a replica',
        which === 'main'
          ? 'Point `mainDb` of the primary at its own server; after a failover, promote that server first.'
          : 'Point `trackingDb` at a database of this site alone.',
      )
    },
  }
}

export function hasMigrations(which: DatabaseName, db: Knex): Check {
  return {
    name: `Migrations of the ${which} database are current`,
    ask: async () => noneOf(await checkMigrations(db, which)),
  }
}

/** What a secondary needs its main database to be (GB.K.3). */
export function isReplica(main: Knex): Check[] {
  return [
    {
      name: 'Database replication enabled?',
      async ask() {
        const found = (await checkReplica(main)).filter(({ code }) => code !== 'REPLICATION_NOT_WORKING')
        return noneOf(found, 'a physical standby')
      },
    },
    {
      name: 'Database replication working?',
      async ask() {
        const found = await checkReplica(main)
        const lag = (await lagStatus(main))['db_replication_lag_seconds'] ?? null
        return noneOf(found, lag === null ? null : `${lag} seconds behind`)
      },
    },
  ]
}

async function one<Row>(db: Knex, sql: string): Promise<Row> {
  const { rows } = await run<{ rows: Row[] }>(db, sql)
  const [row] = rows
  if (!row) throw new Error(`No row: ${sql}`)
  return row
}
