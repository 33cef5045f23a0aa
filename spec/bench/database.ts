import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { startCluster, startPrimaryWithStandby } from '../../lib/testing/postgres/cluster.ts'
import { caughtUp, connect, type SpecDatabases } from '../support/databases.ts'
import { migrate } from '../support/migrate.ts'

// What it takes to count statements; it costs next to nothing, and both sides of a ratio alike.
const SETTINGS = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track_planning': 'on' }

/** Databases as they come from the box: what is committed is on the disk. Each of the three is a server of its own. */
export async function openDatabases(): Promise<SpecDatabases> {
  const dir = await temporaryFolder('geo-bench-databases-')
  const undo: (() => Promise<unknown>)[] = []
  const destroy = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    undo.push(() => rm(dir, { recursive: true, force: true }))
    const { primary, standby } = await startPrimaryWithStandby({ dir, settings: SETTINGS })
    undo.push(() => standby.stop())
    undo.push(() => primary.stop())
    const ofTracking = await startCluster({ dir: join(dir, 'tracking'), settings: SETTINGS })
    undo.push(() => ofTracking.stop())
    const urls = { mainUrl: primary.url(), standbyUrl: standby.url(), trackingUrl: ofTracking.url() }
    await Promise.all([migrate(urls.mainUrl, 'main'), migrate(urls.trackingUrl, 'tracking')])
    const main = connect(urls.mainUrl)
    const replica = connect(urls.standbyUrl)
    const tracking = connect(urls.trackingUrl)
    undo.push(() => Promise.all([main, replica, tracking].map((db) => db.destroy())))
    return { ...urls, main, standby: replica, tracking, destroy, caughtUp: () => caughtUp(main, replica) }
  } catch (reason) {
    await destroy()
    throw reason
  }
}
