import type { Knex } from 'knex'
import { insertSite } from '../../lib/site-table.ts'
import { type Cluster, startCluster } from '../../lib/testing/postgres/cluster.ts'
import { settle } from '../../lib/testing/settle.ts'
import { roleBlock } from './database-roles.ts'
import type { Drill, DrillSite } from './drill.ts'
import { ENCRYPTION_KEY } from './fixture-rows.ts'
import { until } from './until.ts'

/** A site of a drill with its database, and what happens to them. */
export interface Running {
  readonly server: Cluster
  /** An administrator's. */
  readonly db: Knex
  /** That of the site's processes. */
  readonly own: Knex
  readonly site: DrillSite
}

/** The guide to roles has one site of each kind. */
const roleOf = (name: string) => (name === 'tokyo' ? 'app_tokyo' : 'app_paris')

async function openBoth(drill: Drill, name: string, server: Cluster): Promise<[Knex, Knex]> {
  return [drill.open(server), await drill.openAs(roleOf(name), server)]
}

/** Tokyo, the primary, and the secondaries paris and osaka, whose processes may promote their database. */
export async function startThree(drill: Drill): Promise<[Running, Running, Running]> {
  const { primary, seed } = await drill.startServers()
  const [db, own] = await openBoth(drill, 'tokyo', primary)
  for (const name of ['tokyo', 'paris', 'osaka']) {
    await insertSite(db, ENCRYPTION_KEY, { name, url: await drill.address(name), primary: name === 'tokyo' })
  }
  const tokyo = { server: primary, db, own, site: await drill.start('tokyo', own) }
  await db.raw(await roleBlock('promote-database'))
  const [, grantsOfPromoted = ''] = (await roleBlock('promoted')).trim().split('\n')
  await db.raw(grantsOfPromoted)
  await db.raw((await roleBlock('app')).replaceAll('app_tokyo', 'app_paris'))
  const paris = await startSecondary(drill, 'paris', tokyo, seed)
  return [tokyo, paris, await startSecondary(drill, 'osaka', tokyo, seed)]
}

/** A site whose database is a replica, begun with the folder of another replica. */
export async function startSecondary(drill: Drill, name: string, primary: Running, seed: string): Promise<Running> {
  const server = await drill.startReplica(name, primary.server, seed)
  const [db, own] = await openBoth(drill, name, server)
  await drill.caughtUp(primary.db, db)
  return { server, db, own, site: await drill.start(name, own, await drill.newTracking(name)) }
}

/** A primary that gathers nothing: a host that is there again with the database that it had. */
export async function startAgain(drill: Drill, name: string, lost: Running): Promise<Running> {
  const server = await startCluster({ dir: lost.server.dir })
  const [db, own] = await openBoth(drill, name, server)
  return { server, db, own, site: await drill.start(name, own) }
}

export async function settleAll(drill: Drill, primary: Running, ...secondaries: Running[]): Promise<void> {
  await settle(primary.site.parts)
  for (const { db, site } of secondaries) {
    await drill.caughtUp(primary.db, db)
    await settle(site.parts)
  }
}

export async function lose(drill: Drill, { server, db, own, site }: Running): Promise<void> {
  await drill.stop(site)
  await Promise.all([db, own].map((knex) => knex.destroy()))
  await server.stop()
}

/** The replica receives nothing any more. */
export async function cutOff({ db }: Running): Promise<void> {
  await db.raw(`alter system set primary_conninfo = ''`)
  await db.raw('select pg_reload_conf()')
  await until(async () => (await db.raw('select 1 from pg_stat_wal_receiver')).rows.length === 0)
}

/** What lines print on a site, and how each ends. */
export async function typed(
  drill: Drill,
  lines: readonly string[] | undefined,
  site: DrillSite,
  { among = [], answers }: { among?: readonly DrillSite[]; answers?: (question: string) => string } = {},
) {
  const statuses: number[] = []
  let said = ''
  let wrong = ''
  for (const line of lines ?? []) {
    const { status, stdout, stderr } = await drill.type(line, [site, ...among], answers)
    statuses.push(status)
    said += stdout
    wrong += stderr
  }
  return { statuses, said, wrong }
}

/** Types what it is asked to type. */
export const agrees = (question: string): string => /"(.+)"/.exec(question)?.[1] ?? ''
