import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import express, { type Express } from 'express'
import { declareReplicables, type Replicables } from '../../fixtures/widget-app/replicables.ts'
import type { Upload } from '../../fixtures/widget-app/upload-table.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { createGeo, type Geo, type GeoOptions, type ReadOnlyOptions } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from './databases.ts'
import { addRegistryRow, ENCRYPTION_KEY, type RegistryColumns, untyped } from './fixture-rows.ts'
import { type RecordingLogger, recordingLogger } from './recording-logger.ts'
import { countRequests, type RequestCounter } from './request-counter.ts'
import { digestOf } from './verifying-site.ts'

/** An app of a host with `geo.readOnly`, the files of widgets under `/widgets/:id/file`, and the SDK's own routes. */
export interface ServedSite {
  readonly geo: Geo
  readonly url: string
  readonly root: string
  readonly replicables: Replicables
  readonly logger: RecordingLogger
}

export interface ServedSiteOptions {
  readonly readOnly?: ReadOnlyOptions
  readonly options?: Partial<GeoOptions>
  /** Routes after `geo.readOnly`. */
  readonly routes?: (app: Express) => void
  /** Middleware before `geo.readOnly`. */
  readonly before?: (app: Express) => void
}

/** The primary `tokyo` and the secondary `paris` in this process, without background work; rows and copies are put there. */
export interface ReadingSites {
  readonly databases: SpecDatabases
  readonly tokyo: ServedSite
  readonly paris: ServedSite
  /** Between the sites. */
  readonly requests: RequestCounter
  /** A widget whose file the primary has and has hashed, unless told otherwise. */
  addWidget(key: string | null, bytes: Uint8Array | string, options?: { hashed?: boolean }): Promise<string>
  /** A copy on the secondary, verified unless the columns say otherwise. */
  addCopy(id: string, key: string, bytes: Uint8Array | string, columns?: RegistryColumns): Promise<void>
  /** Another process of a site. Closed with the others. */
  serveAlso(siteName: string, options?: ServedSiteOptions): Promise<ServedSite>
  close(): Promise<void>
}

export async function createReadingSites(): Promise<ReadingSites> {
  const databases = await createSpecDatabases()
  const folder = await mkdtemp(join(tmpdir(), 'geo-reading-'))
  const opened: { geo: Geo; server: Server }[] = []

  async function serve(siteName: string, served: ServedSiteOptions = {}): Promise<ServedSite> {
    const root = join(folder, siteName)
    const replicables = declareReplicables(root)
    const { widgets } = replicables
    const logger = recordingLogger()
    const geo = createGeo({
      siteName,
      mainDb: databases.main,
      trackingDb: databases.tracking,
      replicables: [widgets],
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      logger,
      work: false,
      idleTimeoutMs: 2000,
      threads: 1,
      ...served.options,
    })
    const app = express()
    served.before?.(app)
    app.use(geo.readOnly(served.readOnly))
    app.get(
      '/widgets/:id/file',
      (_, response, next) => {
        response.attachment('a.txt')
        next()
      },
      geo.serve(widgets, { contentType: (row: Upload) => row.content_type }),
    )
    served.routes?.(app)
    app.use(geo.router)
    const server = createServer(app)
    opened.push({ geo, server })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { geo, url, root, replicables, logger }
  }

  async function write(root: string, key: string, bytes: Uint8Array | string): Promise<void> {
    await mkdir(dirname(join(root, key)), { recursive: true })
    await writeFile(join(root, key), bytes)
  }

  const tokyo = await serve('tokyo')
  const paris = await serve('paris')
  const requests = await countRequests(tokyo.url)
  await tokyo.geo.sites.add({ name: 'tokyo', url: tokyo.url, internalUrl: requests.url, primary: true })
  await tokyo.geo.sites.add({ name: 'paris', url: paris.url })
  const checksumOf = async (bytes: Uint8Array | string) => encodeDigest(await digestOf(bytes))

  return {
    databases,
    tokyo,
    paris,
    requests,
    async addWidget(key, bytes, { hashed = true } = {}) {
      if (key !== null) await write(tokyo.root, key, bytes)
      const row = { name: 'widget', file_path: key, content_type: 'text/x-widget' }
      const [{ id }] = await databases.main('widgets').insert(row).returning('id')
      const state = hashed
        ? { verification_state: VERIFICATION_STATE.succeeded, verification_checksum: await checksumOf(bytes) }
        : {}
      await databases.main('widget_states').insert({ widget_id: id, ...state })
      return String(id)
    },
    async addCopy(id, key, bytes, columns = {}) {
      await write(paris.root, key, bytes)
      await addRegistryRow(databases.tracking, untyped(paris.replicables.widgets), id, {
        state: SYNC_STATE.synced,
        verification_state: VERIFICATION_STATE.succeeded,
        verification_checksum: await checksumOf(bytes),
        blob_key: key,
        bytes: Buffer.byteLength(bytes),
        ...columns,
      })
    },
    serveAlso: serve,
    async close() {
      for (const { geo, server } of opened) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
        await geo.stop()
      }
      await requests.close()
      await databases.destroy()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
