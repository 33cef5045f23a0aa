import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { type Cluster, startCluster, startPrimaryWithStandby } from '../../lib/testing/postgres/cluster.ts'
import {
  createDatabase,
  databaseUrl,
  dropDatabase,
  MAIN_TEMPLATE,
  TRACKING_TEMPLATE,
} from '../../lib/testing/postgres/database-server.ts'
import { followRoles, migrateWithRoles, urlAs } from './database-roles.ts'
import { migrate } from './migrate.ts'

export interface DatabaseServers {
  primaryUrl: string
  standbyUrl: string
  trackingUrl: string
}

declare module 'vitest' {
  interface ProvidedContext {
    databaseServers: DatabaseServers
  }
}

/** What a power cut would lose does not matter here. Commits are still written at once, or they would reach the standby late. */
const FAST_SETTINGS = { fsync: 'off', full_page_writes: 'off' }

/** One set of servers for the whole run; every spec file gets databases of its own on them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await temporaryFolder('geo-spec-')
  // The servers end with this process too, but write into it a little longer.
  const callOff = afterDeath('for try in 1 2 3 4 5; do sleep 2; rm -rf -- "$1" && break; done', folder)
  const clusters: Cluster[] = []
  const outside = outsideServers()
  const teardown = async (): Promise<void> => {
    if (outside) await dropDatabase(outside.primaryUrl, MAIN_TEMPLATE)
    await Promise.all(clusters.map((cluster) => cluster.stop()))
    await rm(folder, { recursive: true, force: true })
    callOff()
  }
  try {
    const started = await Promise.allSettled([
      outside ?? startMain(join(folder, 'main'), clusters),
      startTracking(join(folder, 'tracking'), clusters),
    ])
    const [main, tracking] = started
    // Both have ended one way or the other, so teardown knows all there is to stop.
    if (main.status === 'rejected') throw main.reason
    if (tracking.status === 'rejected') throw tracking.reason
    const servers = { ...main.value, trackingUrl: tracking.value }
    await Promise.all([createMainTemplate(servers.primaryUrl), createTrackingTemplate(servers.trackingUrl)])
    project.provide('databaseServers', servers)
  } catch (error) {
    await teardown()
    throw error
  }
  return teardown
}

function outsideServers(): { primaryUrl: string; standbyUrl: string } | null {
  const primaryUrl = process.env['GEO_TEST_DATABASE_URL']
  const standbyUrl = process.env['GEO_TEST_STANDBY_URL']
  if (primaryUrl && standbyUrl) return { primaryUrl, standbyUrl }
  if (!primaryUrl && !standbyUrl) return null
  throw new Error(
    'GEO_TEST_DATABASE_URL needs GEO_TEST_STANDBY_URL, a streaming standby of it, and the other way round.',
  )
}

async function startMain(dir: string, clusters: Cluster[]): Promise<{ primaryUrl: string; standbyUrl: string }> {
  const { primary, standby } = await startPrimaryWithStandby({ dir, settings: FAST_SETTINGS })
  clusters.push(primary, standby)
  return { primaryUrl: primary.url(), standbyUrl: standby.url() }
}

async function startTracking(dir: string, clusters: Cluster[]): Promise<string> {
  const cluster = await startCluster({ dir, settings: FAST_SETTINGS })
  clusters.push(cluster)
  return cluster.url()
}

async function createMainTemplate(serverUrl: string): Promise<void> {
  await migrateWithRoles(await createEmpty(serverUrl, MAIN_TEMPLATE))
}

async function createTrackingTemplate(serverUrl: string): Promise<void> {
  const url = await createEmpty(serverUrl, TRACKING_TEMPLATE)
  await followRoles(url, 'tracking-roles')
  const owner = await urlAs('app_owner', url)
  await followRoles(owner, 'tracking')
  await migrate(owner, 'tracking')
}

async function createEmpty(serverUrl: string, name: string): Promise<string> {
  // An outside server may still hold the one of a run that was killed.
  await dropDatabase(serverUrl, name)
  await createDatabase(serverUrl, name)
  return databaseUrl(serverUrl, name)
}
