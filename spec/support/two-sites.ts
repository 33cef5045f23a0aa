import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { failureCauses, readCounts } from '../../fixtures/demo/registry.ts'
import { writeFeatures } from '../../fixtures/widget-app/features.ts'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { type BulkRequest, type BulkRun, createGeo, type Health } from '../../lib/index.ts'
import { urlAs } from './database-roles.ts'
import { createSpecDatabases, type SpecDatabases } from './databases.ts'
import { ForkedSite } from './forked-site.ts'
import { SiteClient, type Stored, type UploadType } from './site-client.ts'
import { until } from './until.ts'

export const PRIMARY = 'tokyo'
export const SECONDARY = 'paris'

/** Whether each type is replicated, as its flag says. */
export interface Flags {
  readonly widgets: boolean
  readonly gadgets: boolean
}

export interface TwoSitesOptions {
  readonly flags: Flags
  /** Where the secondary's main database is. Default: the streaming replica of the primary's. */
  readonly secondaryMain?: 'standby' | 'primary'
  /** Whether the secondary passes writes on. Default: it answers 409. */
  readonly forwardsWrites?: boolean
  /** More environment variables of both processes. */
  readonly environment?: Readonly<Record<string, string>>
  /** More environment variables of the secondary's process. */
  readonly secondaryEnvironment?: Readonly<Record<string, string>>
  /** Puts something between the sites: given the primary's URL, it returns the one that the secondary is to ask. */
  readonly between?: (primaryUrl: string) => Promise<string>
  /** Default: databases of their own on the servers of the run, which go with them. */
  readonly databases?: SpecDatabases
  /** Where the sites keep their files. Default: a temporary folder, which goes with them. */
  readonly folder?: string
}

export interface TwoSites {
  readonly primary: ForkedSite
  readonly secondary: ForkedSite
  readonly databases: SpecDatabases
  readonly encryptionKey: string
  readonly adminToken: string
  /** Opens the admin pages for looking. */
  readonly readToken: string
  upload(type: UploadType, name: string, bytes: Uint8Array | string): Promise<Stored>
  replace(type: UploadType, id: string, name: string, bytes: Uint8Array | string): Promise<Stored>
  remove(type: UploadType, id: string): Promise<void>
  health(site: ForkedSite): Promise<Health>
  /** Starts a bulk run on the secondary and resolves when it has ended. */
  bulk(request: BulkRequest): Promise<BulkRun>
  /** As an operator would in Unleash: running processes follow within half a second. */
  setFlags(flags: Flags): Promise<void>
  /** Resolves when the secondary has exactly so many rows, each synced and verified. */
  untilVerified(expected: Record<UploadType, number>): Promise<void>
  stop(): Promise<void>
}

const VERIFIED_TIMEOUT_MS = 90_000

/** Two processes of widget-app, the primary and a secondary, on databases of their own. Nothing runs any more after a failure. */
export async function startTwoSites(options: TwoSitesOptions): Promise<TwoSites> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'geo-two-sites-')))
  const databases = options.databases ?? (await createSpecDatabases())
  const adminToken = randomBytes(16).toString('hex')
  const readToken = randomBytes(16).toString('hex')
  const client = new SiteClient(adminToken)
  const encryptionKey = randomBytes(32).toString('hex')
  const featuresFile = join(folder, 'features.json')
  const [primaryPort, secondaryPort] = await findPorts(null)

  const siteOf = (name: string, port: number, environment: Record<string, string>): ForkedSite => {
    const blobsDir = join(folder, name, 'blobs')
    const tokens = { ADMIN_TOKEN: adminToken, READ_TOKEN: readToken }
    const common = {
      FEATURES_FILE: featuresFile,
      ENCRYPTION_KEY: encryptionKey,
      ...tokens,
      HOST,
      ...options.environment,
    }
    const own = { SITE_NAME: name, PORT: String(port), BLOBS_DIR: blobsDir }
    return new ForkedSite({
      name,
      url: `http://${HOST}:${port}`,
      blobsDir,
      environment: { ...common, ...own, ...environment },
    })
  }
  const urls = databases.sites ?? {
    primaryMain: databases.mainUrl,
    secondaryMain: databases.standbyUrl,
    secondaryTracking: databases.trackingUrl,
  }
  const primary = siteOf(PRIMARY, primaryPort, { MAIN_DATABASE_URL: urls.primaryMain, TRACKING_DATABASE_URL: '' })
  // By mistake, but as the role of the secondary.
  const onPrimary = databases.sites ? await urlAs('app_paris', databases.mainUrl) : databases.mainUrl
  const secondary = siteOf(SECONDARY, secondaryPort, {
    MAIN_DATABASE_URL: options.secondaryMain === 'primary' ? onPrimary : urls.secondaryMain,
    TRACKING_DATABASE_URL: urls.secondaryTracking,
    FORWARD_WRITES: String(options.forwardsWrites ?? false),
    ...options.secondaryEnvironment,
  })

  const stop = async (): Promise<void> => {
    await Promise.all([primary.stop(), secondary.stop()])
    await client.close()
    if (!options.databases) await databases.destroy()
    if (!options.folder) await rm(folder, { recursive: true, force: true })
  }
  const sites: TwoSites = {
    primary,
    secondary,
    databases,
    encryptionKey,
    adminToken,
    readToken,
    upload: (type, name, bytes) => client.upload(primary.url, type, name, bytes),
    replace: (type, id, name, bytes) => client.replace(primary.url, type, id, name, bytes),
    remove: (type, id) => client.remove(primary.url, type, id),
    health: (site) => client.health(site.url),
    async bulk(request) {
      const { id } = await client.startBulk(secondary.url, request)
      let run = await client.bulkRun(secondary.url, id)
      await until(async () => {
        run = await client.bulkRun(secondary.url, id)
        return run.state === 'finished'
      })
      return run
    },
    setFlags: (flags) => writeFeatures(featuresFile, flagsByName(flags)),
    async untilVerified(expected) {
      try {
        await until(() => isVerified(databases, expected), VERIFIED_TIMEOUT_MS)
      } catch (cause) {
        throw new Error(`Not verified: ${JSON.stringify(expected)}. ${await situation(sites)}`, { cause })
      }
    },
    stop,
  }
  try {
    await sites.setFlags(options.flags)
    await registerSites(sites, (await options.between?.(primary.url)) ?? primary.url)
    await Promise.all([primary, secondary].map((site) => mkdir(site.blobsDir, { recursive: true })))
    const started = await Promise.allSettled([primary.start(), secondary.start()])
    for (const result of started) if (result.status === 'rejected') throw result.reason
  } catch (error) {
    await stop()
    throw error
  }
  return sites
}

function flagsByName({ widgets, gadgets }: Flags): Record<string, boolean> {
  const declared = declareReplicables(tmpdir())
  return { [declared.widgets.names.flag]: widgets, [declared.gadgets.names.flag]: gadgets }
}

async function registerSites(
  { databases, encryptionKey, primary, secondary }: TwoSites,
  internalUrl: string,
): Promise<void> {
  const geo = createGeo({ siteName: PRIMARY, mainDb: databases.main, replicables: [], encryptionKey })
  try {
    await geo.sites.add({ name: PRIMARY, url: primary.url, internalUrl, primary: true })
    await geo.sites.add({ name: SECONDARY, url: secondary.url })
    await databases.caughtUp()
  } finally {
    await geo.stop()
  }
}

async function isVerified({ tracking }: SpecDatabases, expected: Record<UploadType, number>): Promise<boolean> {
  const counts = await readCounts(tracking)
  return (['widgets', 'gadgets'] as const).every((type) => {
    const { rows, synced, verified } = counts[type]
    return [rows, synced, verified].every((count) => count === expected[type])
  })
}

/** For whoever reads a failure. */
async function situation({ databases, primary, secondary }: TwoSites): Promise<string> {
  const counts = await readCounts(databases.tracking)
  const causes = await failureCauses(databases.tracking)
  const logs = [primary, secondary].map((site) => `${site.name}: ${site.output.slice(-2000)}`)
  return [JSON.stringify(counts), ...causes, ...logs].join('\n')
}
