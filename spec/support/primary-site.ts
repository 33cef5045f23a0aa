import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import express, { type RequestHandler } from 'express'
import { declareReplicables, type Replicables } from '../../fixtures/widget-app/replicables.ts'
import { createGeo, type Geo, type GeoOptions, type Site } from '../../lib/index.ts'
import { decryptSecret } from '../../lib/secret.ts'
import { type ShiftedClock, shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { connect, createSpecDatabases, type SpecDatabases } from './databases.ts'
import { ENCRYPTION_KEY } from './fixture-rows.ts'

/** The primary `tokyo`, serving on a port but doing no background work, and the registered secondary `paris`. */
export interface PrimarySite {
  readonly databases: SpecDatabases
  readonly root: string
  readonly replicables: Replicables
  readonly url: string
  readonly port: number
  readonly tokyo: Site
  readonly paris: Site
  readonly clock: ShiftedClock
  /** As hex: a secondary of this site needs the same. */
  readonly encryptionKey: string
  /** The codes of what was logged as wrong since the last call, in that order. */
  takeLoggedCodes(): unknown[]
  /** A row with a file path; the file too where bytes are given. Returns the row's key. */
  addWidget(filePath: string | null, bytes?: Uint8Array | string): Promise<string>
  secretOf(site: Site): string
  /** An Authorization header of paris. */
  sign(scope: TokenScope): Promise<string>
  /** Another process on the same database, with options and middleware of its own. Closed with the site. */
  serveAlso(options: Partial<GeoOptions>, ...before: RequestHandler[]): Promise<string>
  close(): Promise<void>
}

/** `asRole`: it reaches its database as the role that a process of it has. Default: as one that may do everything. */
export async function createPrimarySite({ asRole = false } = {}): Promise<PrimarySite> {
  const databases = await createSpecDatabases()
  const own = asRole ? connect(databases.sites?.primaryMain ?? '') : null
  const folder = await mkdtemp(join(tmpdir(), 'geo-primary-'))
  const root = join(folder, 'blobs')
  const replicables = declareReplicables(root)
  const loggedCodes: unknown[] = []
  const keepCode = (fields: { code?: unknown }) => void loggedCodes.push(fields.code)
  const logger = { debug: () => undefined, info: () => undefined, warn: keepCode, error: keepCode }
  const clock = shiftedClock()
  const key = ENCRYPTION_KEY
  const opened: { geo: Geo; server: Server }[] = []

  async function serve(options: Partial<GeoOptions>, ...before: RequestHandler[]): Promise<{ geo: Geo; port: number }> {
    const geo = createGeo({
      siteName: 'tokyo',
      mainDb: own ?? databases.main,
      replicables: [replicables.widgets, replicables.gadgets],
      encryptionKey: key.toString('hex'),
      logger,
      clock,
      threads: 1,
      ...options,
    })
    const server = createServer(express().use(...before, geo.router))
    opened.push({ geo, server })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { geo, port: (server.address() as AddressInfo).port }
  }

  const { geo, port } = await serve({})
  const tokyo = await geo.sites.add({ name: 'tokyo', url: `http://127.0.0.1:${port}`, primary: true })
  const paris = await geo.sites.add({ name: 'paris', url: 'http://paris.test' })
  const secretOf = (site: Site) => decryptSecret(site.secret, key, site.accessKey)

  return {
    databases,
    root,
    replicables,
    url: `http://127.0.0.1:${port}`,
    port,
    tokyo,
    paris,
    encryptionKey: key.toString('hex'),
    takeLoggedCodes: () => loggedCodes.splice(0),
    clock,
    async addWidget(filePath, bytes) {
      if (filePath !== null && bytes !== undefined) {
        await mkdir(dirname(join(root, filePath)), { recursive: true })
        await writeFile(join(root, filePath), bytes)
      }
      const [row] = await databases.main('widgets').insert({ name: 'widget', file_path: filePath }).returning('id')
      return String(row.id)
    },
    secretOf,
    sign: (scope) => signRequest(paris, secretOf(paris), scope, clock),
    async serveAlso(options, ...before) {
      const { port } = await serve(options, ...before)
      return `http://127.0.0.1:${port}`
    },
    async close() {
      for (const { geo, server } of opened) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
        await geo.stop()
      }
      await own?.destroy()
      await databases.destroy()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
