import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { type DatabaseGate, gateTo } from '../support/database-gate.ts'
import { HostProcess } from './host-process.ts'
import { installFixture } from './installed-host.ts'

const NEXT_TO_NOTHING = 1024
const OPENED = new URL('opened-app/geo.cjs', import.meta.url)

/** In geo_nodes, in the order in which they are added. */
export const IDS = Object.freeze({ tokyo: 1, paris: 2 })

/** A site of plain-app, with the pages and APIs opened to whoever has a role. */
export interface PlainSite extends HostProcess {
  readonly blobsDir: string
  readonly environment: Record<string, string>
}

/** The primary `tokyo` and the secondary `paris`, which may fetch next to nothing: plain-app as npm installs it, a process each. */
export interface PlainSites {
  readonly tokyo: PlainSite
  readonly paris: PlainSite
  readonly scrapeToken: string
  /** Between paris and its replica. Open. */
  readonly gate: DatabaseGate
  /** The command, as the operator of the primary runs it. */
  geo(...args: string[]): Promise<void>
  close(): Promise<void>
}

export async function startPlainSites(): Promise<PlainSites> {
  const { primaryUrl, standbyUrl, trackingUrl } = inject('databaseServers')
  const database = `geo_plain_${randomBytes(6).toString('hex')}`
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of undo.reverse()) await step()
  }
  try {
    const host = await installFixture('plain-app', { files: { 'geo/geo.js': await readFile(OPENED, 'utf8') } })
    undo.push(() => host.remove())
    for (const server of [primaryUrl, trackingUrl]) {
      await createDatabase(server, database)
      undo.push(() => dropDatabase(server, database))
    }
    const gate = await gateTo(databaseUrl(standbyUrl, database))
    await gate.open()
    undo.push(() => gate.shut())

    const scrapeToken = randomBytes(16).toString('hex')
    const common = { GEO_ENCRYPTION_KEY: randomBytes(32).toString('hex'), SCRAPE_TOKEN: scrapeToken }
    const [first, second] = await findPorts(null)
    const siteOf = (name: string, port: number, databases: Record<string, string>): PlainSite => {
      const blobsDir = join(host.path, `${name}-uploads`)
      const environment = { ...common, ...databases, SITE_NAME: name, BLOBS_DIR: blobsDir, PORT: String(port) }
      const site = new HostProcess({ cwd: host.path, program: 'server.js', url: `http://${HOST}:${port}`, environment })
      undo.push(() => site.terminate())
      return Object.assign(site, { blobsDir, environment })
    }
    const tokyo = siteOf('tokyo', first, { MAIN_DATABASE_URL: databaseUrl(primaryUrl, database) })
    const trackingDatabase = { TRACKING_DATABASE_URL: databaseUrl(trackingUrl, database) }
    const paris = siteOf('paris', second, { MAIN_DATABASE_URL: gate.url, ...trackingDatabase })

    const run = async (program: string, args: readonly string[], environment: Record<string, string>) => {
      const { status, stdout, stderr } = await host.run(`node_modules/.bin/${program}`, args, environment)
      if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`)
    }
    await Promise.all([
      run('knex', ['migrate:latest'], tokyo.environment),
      run('knex', ['migrate:latest', '--env', 'tracking'], paris.environment),
    ])
    const geo = (...args: string[]) => run('geo', args, tokyo.environment)
    await tokyo.start()
    await addSite(tokyo, { name: 'tokyo', url: tokyo.url, primary: true })
    await addSite(tokyo, { name: 'paris', url: paris.url })
    await geo('site', 'update', 'paris', '--bytes-per-second', String(NEXT_TO_NOTHING))
    await paris.start()
    return { tokyo, paris, scrapeToken, gate, geo, close }
  } catch (reason) {
    await close()
    throw reason
  }
}

/** Over REST, as whoever sets sites up by a program does. */
async function addSite(
  { url }: PlainSite,
  site: { name: keyof typeof IDS; url: string; primary?: true },
): Promise<void> {
  const answer = await fetch(`${url}/api/v4/geo_nodes`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close', 'x-role': 'admin', 'x-operator': 'setup' },
    body: JSON.stringify(site),
  })
  const text = await answer.text()
  if (answer.status !== 201 || JSON.parse(text).id !== IDS[site.name]) throw new Error(`${answer.status}: ${text}`)
}
