import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { insertSite } from '../../lib/site-table.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases } from '../support/databases.ts'
import { addLease } from '../support/fixture-rows.ts'
import { ForkedSite } from '../support/forked-site.ts'
import type { Stored, UploadType } from '../support/site-client.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'
import { seedHour } from './last-hour.ts'
import { type PeoplesFile, peoplesFiles } from './people-files.ts'

const COUNTS = { widgets: 1248, gadgets: 316 }
const UPLOADS_AT_ONCE = 8
const ONE_BY_ONE = 20
/** So slow that the pictures are taken while it fills. */
const OSLO_BYTES_PER_SECOND = 90_000

/** The primary `tokyo`, the secondary `paris`, which has all save what its primary has lost, and `oslo`, which is being filled. */
export interface PicturedSites {
  readonly sites: TwoSites
  readonly oslo: ForkedSite
  /** The text as it would be where the sites are not on this machine. */
  asAbroad(text: string): string
  close(): Promise<void>
}

export async function openPicturedSites(): Promise<PicturedSites> {
  const sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
  const undo: (() => Promise<unknown>)[] = [() => sites.stop()]
  const close = async () => {
    for (const each of undo.splice(0).reverse()) await each()
  }
  try {
    const widgets = await uploadAll(sites, 'widgets', 1)
    await uploadAll(sites, 'gadgets', 2)
    await sites.untilVerified(COUNTS)
    await ageRows(sites.databases.tracking)
    await lose(sites, widgets)
    await holdSome(sites)
    await sites.bulk({ action: 'reverify', type: 'widget', dryRun: true })
    const further = await createSpecDatabases()
    undo.push(() => further.destroy())
    const oslo = await osloOf(sites, further.trackingUrl)
    undo.push(() => oslo.stop())
    await oslo.start()
    // Something for it to read: whoever is new begins at the end of the events.
    await until(async () => (await further.tracking('geo_event_cursors')).length > 0)
    await sites.upload('gadgets', 'Welcome to Oslo.pdf', 'Welcome')
    await seedHour(sites.databases.main)
    const names = [sites.primary, sites.secondary, oslo].map(
      ({ url, name }) => [url, `https://${name}.example`] as const,
    )
    return {
      sites,
      oslo,
      asAbroad: (text) => names.reduce((changed, [url, abroad]) => changed.replaceAll(url, abroad), text),
      close,
    }
  } catch (reason) {
    await close()
    throw reason
  }
}

async function uploadAll(sites: TwoSites, type: UploadType, seed: number): Promise<Stored[]> {
  const stored: Stored[] = []
  const queue = peoplesFiles(COUNTS[type], seed)
  const upload = async (files: Iterable<PeoplesFile>) => {
    for (const { name, bytes } of files) stored.push(await sites.upload(type, name, bytes))
  }
  // Those that are seen have the same ids each time.
  await upload(queue.slice(0, ONE_BY_ONE))
  const rest = queue.slice(ONE_BY_ONE).values()
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, () => upload(rest)))
  return stored.sort((left, right) => Number(left.id) - Number(right.id))
}

/** As if the copies had come one after the other over two weeks. */
async function ageRows(tracking: Knex): Promise<void> {
  for (const table of ['widget_registry', 'gadget_registry']) {
    await tracking(table).update({
      last_synced_at: tracking.raw("now() - id * interval '17 minutes'"),
      verified_at: tracking.raw("now() - id * interval '17 minutes' + interval '1 second'"),
    })
  }
}

/** Files of the primary go, change or are replaced by a folder, behind the application's back; paris asks for them again. */
async function lose({ primary, bulk, databases }: TwoSites, widgets: readonly Stored[]): Promise<void> {
  const pathOf = ({ key }: Stored) => join(primary.blobsDir, key)
  const [missing, changed, folder] = [[2, 211, 212, 640, 641, 902, 903], [5, 433, 700], [8]].map((places) =>
    places.map((at) => widgets[at] as Stored),
  ) as [Stored[], Stored[], Stored[]]
  for (const file of missing) await rm(pathOf(file))
  for (const file of changed) await writeFile(pathOf(file), 'other bytes')
  for (const file of folder) {
    await rm(pathOf(file))
    await mkdir(pathOf(file))
  }
  const ids = [...missing, ...changed, ...folder].map(({ id }) => id)
  await bulk({ action: 'resync', type: 'widget', filter: { ids } })
  const failed = () => databases.tracking('widget_registry').whereNotNull('last_sync_failure').where('state', 3)
  await until(
    async () => (await failed()).length === ids.length,
    60_000,
    async () => JSON.stringify(await databases.tracking('widget_registry').whereIn('widget_id', ids)),
  )
  await failed().update({ retry_at: databases.tracking.raw("now() + interval '1 hour'") })
}

/** Some rows are on their way, and stay so: somebody holds them. */
async function holdSome({ databases: { tracking } }: TwoSites): Promise<void> {
  const registry = (ids: readonly string[]) => tracking('widget_registry').whereIn('widget_id', ids)
  const [waiting, fetched, hashed] = [['5'], ['4'], ['7', '8']]
  const lease_id = await addLease(tracking, { recordIds: [...waiting, ...fetched], secondsLeft: 3600 })
  const unchecked = { verification_state: VERIFICATION_STATE.pending, lease_id }
  await registry(waiting).update({ state: SYNC_STATE.pending, ...unchecked })
  await registry(fetched).update({ state: SYNC_STATE.started, last_synced_at: tracking.fn.now(), ...unchecked })
  await registry(hashed).update({
    verification_state: VERIFICATION_STATE.started,
    verification_started_at: tracking.fn.now(),
  })
}

async function osloOf(
  { primary, secondary, databases, encryptionKey }: TwoSites,
  trackingUrl: string,
): Promise<ForkedSite> {
  const [port] = await findPorts(null)
  const url = `http://${HOST}:${port}`
  const key = Buffer.from(encryptionKey, 'hex')
  await insertSite(databases.main, key, { name: 'oslo', url, transferBytesPerSecond: OSLO_BYTES_PER_SECOND })
  await databases.caughtUp()
  const blobsDir = join(primary.blobsDir, '../../oslo/blobs')
  await mkdir(blobsDir, { recursive: true })
  const own = { SITE_NAME: 'oslo', PORT: String(port), BLOBS_DIR: blobsDir, TRACKING_DATABASE_URL: trackingUrl }
  return new ForkedSite({ name: 'oslo', url, blobsDir, environment: { ...secondary.environment, ...own } })
}
