import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { declareReplicables, type Replicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import type { Geo } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { settle } from '../../lib/testing/settle.ts'
import { ENCRYPTION_KEY } from './fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from './secondary-site.ts'

/** The secondary `paris` and its primary `rome`, which serves over HTTP, both in this process; jobs run when the spec says. */
export interface ServedSites {
  readonly site: SecondarySite
  readonly primary: Assembly
  readonly primaryGeo: Geo
  /** The primary's folder of blobs. */
  readonly primaryRoot: string
  /** With a trailing slash. */
  readonly primaryUrl: string
  /** Adds a widget with its file on the primary, hashed there, and returns its key. */
  addWidget(name: string, bytes: string): Promise<string>
  /** Tells the sites where the primary is. */
  reach(url: string): Promise<void>
  /** Lets the secondary do all that it finds to do. */
  settle(): Promise<void>
  close(): Promise<void>
}

export async function serveSites(): Promise<ServedSites> {
  const site = await createSecondarySite()
  const { clock, logger, databases } = site
  const primaryRoot = await mkdtemp(join(tmpdir(), 'geo-served-'))
  const replicables: Replicables = declareReplicables(primaryRoot)
  const primary = assemble(
    parseOptions({
      siteName: 'rome',
      mainDb: databases.main,
      replicables: [replicables.widgets, replicables.gadgets],
      features: { isEnabled: () => true },
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      threads: 1,
      clock,
      logger,
    }),
  )
  const primaryGeo = facadeOf(primary)
  await primary.sites.refresh()
  const server = express().use(primary.router).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const primaryUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

  const reach = async (url: string): Promise<void> => {
    await databases.main('geo_nodes').where({ name: 'rome' }).update({ internal_url: url })
    await databases.caughtUp()
    await Promise.all([site.assembly.sites.refresh(), primary.sites.refresh()])
  }
  await reach(primaryUrl)
  // Where a site begins to read is no matter of its first events.
  await site.run('events')
  return {
    site,
    primary,
    primaryGeo,
    primaryRoot,
    primaryUrl,
    reach,
    async addWidget(name, bytes) {
      await writeFile(join(primaryRoot, name), bytes)
      const id = await databases.main.transaction(async (trx) => {
        const [row] = await trx('widgets').insert({ name, file_path: name }).returning('*')
        await primaryGeo.replicator(replicables.widgets).created(row, trx)
        return String(row.id)
      })
      await settle(primary, ['backfill-states', 'verify-primary'])
      return id
    },
    async settle() {
      await site.hearInTurn()
      await settle(site.assembly, ['events', 'reconcile', 'sync', 'remove', 'verify', 'bulk'])
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await primary.stop()
      await site.close()
      await rm(primaryRoot, { recursive: true, force: true })
    },
  }
}
