import { randomBytes } from 'node:crypto'
import { on } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Unleash } from 'unleash-client'
import { buildApp } from '../../fixtures/widget-app/app.ts'
import { type Environment, readEnvironment } from '../../fixtures/widget-app/environment.ts'
import type { ServerFeatures } from '../../fixtures/widget-app/flag-server.ts'
import { assembleSite, type SiteParts } from '../../fixtures/widget-app/site-parts.ts'
import type { Assembly } from '../../lib/assembly.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import type { Geo } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { settle } from '../../lib/testing/settle.ts'
import { type Ended, geoWith } from './cli.ts'
import { createSpecDatabases, type SpecDatabases } from './databases.ts'
import { ENCRYPTION_KEY, untyped } from './fixture-rows.ts'
import { recordingLogger } from './recording-logger.ts'
import { SiteClient } from './site-client.ts'
import type { UnleashServer } from './unleash-server.ts'

/** Where its geo.config.ts is. */
const WIDGET_APP = fileURLToPath(new URL('../../fixtures/widget-app', import.meta.url))
const REFRESH_MS = 100
const LATE_MS = 30_000
const JOBS = {
  primary: ['sites', 'backfill-states', 'verify-primary'],
  secondary: ['sites', 'events', 'reconcile', 'sync', 'remove', 'verify'],
}

/** What a client knows of a flag. */
export type KnownFlag = ReturnType<Unleash['getFeatureToggleDefinition']>

/** One site of widget-app in this process, as its own modules put it together; its jobs run when the spec says. */
export interface FlaggedSite {
  readonly name: string
  readonly url: string
  readonly root: string
  readonly environment: Environment
  /** The command `geo` at this site, in a process of its own with a client of its own, as JSON. */
  command(...args: string[]): Promise<Ended>
  readonly flags: ServerFeatures
  readonly widgets: Replicable
  readonly assembly: Assembly
  readonly geo: Geo
  /** The main database as this site sees it has all that was committed; it does all that it finds to do. */
  settle(jobs?: readonly string[]): Promise<void>
  /** Resolves when the client has heard from the server what the flag is to be. */
  knows(flag: string, isSo: (known: KnownFlag) => boolean): Promise<void>
  /** Whether widgets are replicated here. */
  readonly isOn: boolean
  /** The paths of the files that others have asked this site for. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

/** The primary `rome` with the secondaries `paris` and `oslo`, whose flags a real Unleash server decides. */
export interface FlaggedSites {
  readonly databases: SpecDatabases
  readonly rome: FlaggedSite
  readonly paris: FlaggedSite
  readonly oslo: FlaggedSite
  readonly all: readonly FlaggedSite[]
  readonly client: SiteClient
  readonly adminToken: string
  /** Registry rows of widgets at a secondary, with the columns that say how far they are. */
  registry(site: FlaggedSite): Promise<{ state: number; verification_state: number }[]>
  /** The copy of a file; null where there is none. */
  copy(site: FlaggedSite, key: string): Promise<string | null>
  /** A process of the same site that begins now, with some of its options changed. */
  another(site: FlaggedSite, changes?: SiteChanges): Promise<FlaggedSite>
  close(): Promise<void>
}

export interface SiteChanges {
  readonly environment?: Readonly<Record<string, string>>
  /** As the declaration of widgets says it. */
  readonly released?: string
}

export async function startFlaggedSites(unleash: UnleashServer): Promise<FlaggedSites> {
  const folder = await mkdtemp(join(tmpdir(), 'geo-flagged-'))
  const databases = await createSpecDatabases()
  // Only its tracking database: that of the second secondary.
  const further = await createSpecDatabases()
  const adminToken = randomBytes(16).toString('hex')
  const client = new SiteClient(adminToken)
  const open: FlaggedSite[] = []

  async function site(name: string, changes: SiteChanges = {}): Promise<FlaggedSite> {
    const root = join(folder, name, 'blobs')
    await mkdir(root, { recursive: true })
    const tracking = { rome: '', paris: databases.trackingUrl, oslo: further.trackingUrl }[name] ?? ''
    const environment = readEnvironment({
      SITE_NAME: name,
      MAIN_DATABASE_URL: name === 'rome' ? databases.mainUrl : databases.standbyUrl,
      TRACKING_DATABASE_URL: tracking,
      BLOBS_DIR: root,
      UNLEASH_URL: unleash.url,
      UNLEASH_TOKEN: unleash.clientToken,
      UNLEASH_REFRESH_MS: String(REFRESH_MS),
      ENCRYPTION_KEY: ENCRYPTION_KEY.toString('hex'),
      ADMIN_TOKEN: adminToken,
      ...changes.environment,
    })
    const parts = declaring(await assembleSite(environment), changes.released)
    const started = await startSite(environment, parts, databases)
    open.push(started)
    return started
  }
  const close = async () => {
    await Promise.all(open.map((one) => one.close()))
    await client.close()
    await Promise.all([databases.destroy(), further.destroy()])
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const rome = await site('rome')
    const [paris, oslo] = await Promise.all([site('paris'), site('oslo')])
    const all = [rome, paris, oslo]
    for (const { name, url } of all) await rome.geo.sites.add({ name, url, primary: name === 'rome' })
    await databases.caughtUp()
    for (const { assembly } of all) await assembly.sites.refresh()
    return {
      databases,
      rome,
      paris,
      oslo,
      all,
      client,
      adminToken,
      registry: (of) => trackingOf(of)('widget_registry').select('state', 'verification_state').orderBy('id'),
      copy: ({ root }, key) =>
        readFile(join(root, key), 'utf8').catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return null
          throw error
        }),
      async another({ name }, changes) {
        const begun = await site(name, changes)
        await begun.assembly.sites.refresh()
        return begun
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The parts as they are after one line of the declaration of widgets was changed. */
function declaring(parts: SiteParts, released: string | undefined): SiteParts {
  if (released === undefined) return parts
  const widgets = Object.freeze({ ...parts.replicables.widgets, released })
  const replicables = { ...parts.replicables, widgets }
  return { ...parts, replicables, geoOptions: { ...parts.geoOptions, replicables: [widgets, replicables.gadgets] } }
}

async function startSite(environment: Environment, parts: SiteParts, databases: SpecDatabases): Promise<FlaggedSite> {
  const assembly = assemble(parseOptions({ ...parts.geoOptions, threads: 1, logger: recordingLogger() }))
  const geo = facadeOf(assembly)
  const server = buildApp(parts, geo).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const asked: string[] = []
  server.on('request', ({ url = '' }) => url.startsWith('/api/v4/geo/retrieve') && asked.push(url))
  const flags = parts.features as ServerFeatures
  const widgets = untyped(parts.replicables.widgets)
  let closing: Promise<void> | null = null
  return {
    name: environment.SITE_NAME,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    root: environment.BLOBS_DIR,
    environment,
    command: (...args) => geoWith(variablesOf(environment), WIDGET_APP, ...args),
    flags,
    widgets,
    assembly,
    geo,
    asked,
    get isOn() {
      return assembly.gate.replicationEnabled(widgets)
    },
    async settle(jobs = JOBS[assembly.sites.role === 'primary' ? 'primary' : 'secondary']) {
      await databases.caughtUp()
      await settle(assembly, jobs)
    },
    async knows(flag, isSo) {
      const changes = on(flags.client, 'changed', { signal: AbortSignal.timeout(LATE_MS) })
      const isKnown = () => isSo(flags.client.getFeatureToggleDefinition(flag))
      while (!isKnown()) await changes.next()
      await changes.return?.()
    },
    close() {
      closing ??= (async () => {
        await assembly.stop()
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
        await parts.close()
      })()
      return closing
    },
  }
}

function variablesOf(environment: Environment): Record<string, string> {
  // Under `test`, which the runner sets, Unleash's client keeps its process from ending.
  const given = Object.entries({ ...environment, NODE_ENV: 'production' }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}

function trackingOf({ assembly }: FlaggedSite) {
  const { tracking } = assembly.databases
  if (!tracking) throw new Error('A primary has no registry')
  return tracking
}
