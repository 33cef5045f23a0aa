import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import type { GeoOptions } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { step } from '../../lib/testing/settle.ts'
import { connect } from './databases.ts'
import { createSecondarySite, type SecondarySite, type SecondarySiteOptions } from './secondary-site.ts'

/** The primary `rome`, which answers over HTTP, and the secondary `paris` on a real standby; their jobs run when the spec says. */
export interface WatchedSites {
  readonly rome: Assembly
  readonly paris: SecondarySite
  /** The folder of rome's blobs. */
  readonly root: string
  /** Of rome, with a trailing slash. */
  readonly url: string
  /** Both sites gather their status, and paris tells rome. */
  gatherAll(): Promise<void>
  /** Paris tells rome, or tries to. */
  report(): Promise<void>
  /** As if so much time had gone by since the last report, on both sites. */
  sinceReport(seconds: number): Promise<void>
  /** Nothing listens at rome's address any more. */
  cut(): Promise<void>
  mend(): Promise<void>
  close(): Promise<void>
}

export interface WatchedSitesOptions {
  readonly both?: Partial<GeoOptions>
  readonly rome?: Partial<GeoOptions>
  readonly paris?: SecondarySiteOptions
  /** Both sites reach their databases as the roles of their processes, with passwords. */
  readonly asRoles?: boolean
}

export async function createWatchedSites(options: WatchedSitesOptions = {}): Promise<WatchedSites> {
  const paris = await createSecondarySite({ ...options.both, ...options.paris, asRole: options.asRoles ?? false })
  const { databases, assembly, clock } = paris
  const root = await mkdtemp(join(tmpdir(), 'geo-watched-'))
  const own = options.asRoles ? connect(databases.sites?.primaryMain ?? '') : null
  const rome = assemble(
    parseOptions({
      siteName: 'rome',
      mainDb: own ?? databases.main,
      replicables: Object.values(declareReplicables(root)).filter((value) => 'blob' in value),
      features: { isEnabled: () => true },
      encryptionKey: assembly.settings.encryptionKey.toString('hex'),
      clock,
      logger: paris.logger,
      threads: 1,
      ...options.both,
      ...options.rome,
    }),
  )
  const app = express().use(rome.router)
  let server: Server | null = null
  let port = 0

  async function listen(): Promise<void> {
    const listening = createServer(app)
    server = listening
    await new Promise<void>((resolve) => listening.listen(port, '127.0.0.1', resolve))
    port = (listening.address() as AddressInfo).port
  }
  async function cut(): Promise<void> {
    server?.closeAllConnections()
    await new Promise((resolve) => server?.close(resolve))
  }
  await listen()
  const url = `http://127.0.0.1:${port}/`
  await databases.main('geo_nodes').where({ name: 'rome' }).update({ url })
  await rome.sites.refresh()
  await databases.caughtUp()
  await assembly.sites.refresh()

  const report = async (): Promise<void> => {
    clock.advance(31_000)
    await paris.run('events')
    await step(assembly, 'report-position')
    await databases.caughtUp()
  }
  return {
    rome,
    paris,
    root,
    url,
    async gatherAll() {
      await step(rome, 'throughput')
      await rome.viewing.gathering.gather()
      await step(assembly, 'throughput')
      await databases.caughtUp()
      await assembly.viewing.gathering.gather()
      await report()
    },
    report,
    async sinceReport(seconds) {
      const before = (column: string) => `${column} = ${column} - ? * interval '1 second'`
      await databases.tracking.raw(
        `update geo_site_status set ${before('reported_at')}, ${before('report_failing_since')}`,
        [seconds, seconds],
      )
      const column = 'last_successful_status_check_at'
      await databases.main.raw(
        `update geo_node_statuses set ${before(column)} where geo_node_id in (select id from geo_nodes where not "primary")`,
        [seconds],
      )
      await databases.caughtUp()
    },
    cut,
    mend: listen,
    async close() {
      await cut()
      await rome.stop()
      await own?.destroy()
      await paris.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}
