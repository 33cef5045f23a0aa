import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import createKnex, { type Knex } from 'knex'
import {
  createDatabase,
  databaseUrl,
  dropDatabase,
  MAIN_TEMPLATE,
  TRACKING_TEMPLATE,
  withClient,
} from '../../lib/testing/postgres/database-server.ts'
import { urlAs } from './database-roles.ts'

const REPLAY_TIMEOUT_MS = 60_000
const REPLAY_POLL_MS = 5
const NO_SUCH_DATABASE = '3D000'

export interface SiteUrls {
  readonly primaryMain: string
  readonly secondaryMain: string
  readonly secondaryTracking: string
}

/** One spec file's own databases: all migrations run, no rows. */
export interface SpecDatabases {
  readonly mainUrl: string
  readonly standbyUrl: string
  readonly trackingUrl: string
  /** The same as the processes of the sites log in, with the rights of docs/guides/database-roles.md. Absent where all may do everything. */
  readonly sites?: SiteUrls
  readonly main: Knex
  /** The same database as `main`, read-only, as a secondary sees it. */
  readonly standby: Knex
  readonly tracking: Knex
  /** Resolves when the standby shows everything that was committed on the primary by now. */
  caughtUp(): Promise<void>
  /** Closes the three connections and drops the databases, whoever else is still connected. */
  destroy(): Promise<void>
}

export async function createSpecDatabases(): Promise<SpecDatabases> {
  // Only here: what else is in this file is of use outside of a run of vitest too.
  const { inject } = await import('vitest')
  const servers = inject('databaseServers')
  const name = `geo_spec_${randomBytes(6).toString('hex')}`
  const urls = {
    mainUrl: databaseUrl(servers.primaryUrl, name),
    standbyUrl: databaseUrl(servers.standbyUrl, name),
    trackingUrl: databaseUrl(servers.trackingUrl, name),
  }
  await Promise.all([
    createDatabase(servers.primaryUrl, name, MAIN_TEMPLATE),
    createDatabase(servers.trackingUrl, name, TRACKING_TEMPLATE),
  ])
  await until(() => answers(urls.standbyUrl), `database ${name} to appear on the standby`)
  const main = connect(urls.mainUrl)
  const standby = connect(urls.standbyUrl)
  const tracking = connect(urls.trackingUrl)
  const [primaryMain, secondaryMain, secondaryTracking] = await Promise.all([
    urlAs('app_tokyo', urls.mainUrl),
    urlAs('app_paris', urls.standbyUrl),
    urlAs('app_paris', urls.trackingUrl),
  ])
  return {
    ...urls,
    sites: { primaryMain, secondaryMain, secondaryTracking },
    main,
    standby,
    tracking,
    caughtUp: () => caughtUp(main, standby),
    async destroy() {
      await Promise.all([main.destroy(), standby.destroy(), tracking.destroy()])
      await Promise.all([dropDatabase(servers.primaryUrl, name), dropDatabase(servers.trackingUrl, name)])
    },
  }
}

/** For a spec that makes its databases by itself: resolves when the standby has all that was committed on its primary by now. */
export async function standbyCaughtUp(): Promise<void> {
  const { inject } = await import('vitest')
  const servers = inject('databaseServers')
  const [main, standby] = [connect(servers.primaryUrl), connect(servers.standbyUrl)]
  await caughtUp(main, standby).finally(() => Promise.all([main.destroy(), standby.destroy()]))
}

export async function caughtUp(main: Knex, standby: Knex): Promise<void> {
  const written = await main.raw('select pg_current_wal_lsn() as lsn')
  const replayed = async (): Promise<boolean> => {
    const { rows } = await standby.raw('select pg_last_wal_replay_lsn() >= ?::pg_lsn as done', [written.rows[0].lsn])
    return rows[0].done
  }
  await until(replayed, `the standby to reach ${written.rows[0].lsn}`)
}

async function answers(url: string): Promise<boolean> {
  try {
    await withClient(url, (client) => client.query('select 1'))
    return true
  } catch (error) {
    if ((error as { code?: string }).code === NO_SUCH_DATABASE) return false
    throw error
  }
}

async function until(isDone: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + REPLAY_TIMEOUT_MS
  while (!(await isDone())) {
    if (performance.now() > deadline) throw new Error(`Waited ${REPLAY_TIMEOUT_MS} ms in vain for ${what}.`)
    await sleep(REPLAY_POLL_MS)
  }
}

export function connect(url: string): Knex {
  return createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 5 } })
}
