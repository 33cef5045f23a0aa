import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { defineReplicable, type LocalDiskOptions, localDisk } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, secondsFromNow, untyped } from '../support/fixture-rows.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { addWantedWidget, answerFrames, blobFrame, syncOnce, widgetRow } from '../support/sync-batch.ts'
import { until } from '../support/until.ts'

const KEY = 'shared/file'
const GONE = '999'

let databases: SpecDatabases
let primary: StagedServer
let site: AssembledSite
let root: string
let beforeRemoval: () => Promise<void>

beforeAll(async () => {
  databases = await createSpecDatabases()
  primary = await stageServer()
  answerFrames(primary, (id) => [blobFrame(id, 'bytes')])
})
afterAll(async () => {
  await primary.close()
  await databases.destroy()
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-shared-'))
  beforeRemoval = async () => undefined
  for (const table of ['widget_registry', 'geo_leases', 'geo_stores']) await databases.tracking(table).delete()
  const replicables = [widgetsWithSlowRemoval({ root })]
  site = await assembleSecondary(databases, { primaryUrl: primary.url, root, options: { replicables } })
})
afterEach(async () => {
  await site.close()
  await rm(root, { recursive: true, force: true })
})

function widgetsWithSlowRemoval(options: LocalDiskOptions) {
  const disk = localDisk(options)
  const { widgets } = declareReplicables(options.root)
  const remove = async (key: string) => {
    await beforeRemoval()
    return disk.remove(key)
  }
  return defineReplicable({
    name: 'widget',
    table: 'widgets',
    verificationState: 'separate',
    store: Object.freeze({ ...disk, remove }),
    blob: widgets.blob,
    available: widgets.available,
  })
}

/** A registry row whose record is gone, with the file that another row is to get as well. */
async function addGoingRow(): Promise<void> {
  await addRegistryRow(databases.tracking, untyped(site.replicables.widgets), GONE, {
    state: SYNC_STATE.synced,
    blob_key: KEY,
    removal_requested_at: secondsFromNow(databases.tracking, -1),
  })
}

async function removeOnce(): Promise<void> {
  const batch = await site.parts.sources.remove.claim()
  if (!batch) throw new Error('There was nothing to remove')
  await site.parts.sources.remove.work(batch)
}

/** Lets other work begin, and goes on when it has ended or waits for us. */
async function besides(work: () => Promise<void>): Promise<{ ended: Promise<void> }> {
  let over = false
  const ended = work().finally(() => {
    over = true
  })
  await until(async () => over || (await someoneWaits()))
  return { ended }
}

async function someoneWaits(): Promise<boolean> {
  const { rows } = await databases.tracking.raw(
    "select 1 from pg_locks where not granted and locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
  )
  return rows.length > 0
}

describe('A row whose file is replaced by the copy of another', () => {
  it.each([V.succeeded, V.started])('is hashed again, from verification state %i', async (state) => {
    const { tracking } = databases
    const judged = { state: SYNC_STATE.synced, blob_key: KEY, verification_state: state }
    await addRegistryRow(tracking, untyped(site.replicables.widgets), GONE, judged)
    await addRegistryRow(tracking, untyped(site.replicables.widgets), '998', { ...judged, blob_key: 'another' })
    const id = await addWantedWidget(databases, site, { key: KEY })
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced })
    expect(await widgetRow(databases, site, GONE)).toMatchObject({ verification_state: V.pending })
    expect(await widgetRow(databases, site, '998')).toMatchObject({ verification_state: state })
  })
})

describe('Rows that share a file keep it until the last is gone', () => {
  it('also while one is removed at the moment at which another has just got the file', async () => {
    await addGoingRow()
    const id = await addWantedWidget(databases, site, { key: KEY })
    const place = TransferThreads.prototype.place
    let removal: { ended: Promise<void> } | undefined
    const placing = vi.spyOn(TransferThreads.prototype, 'place').mockImplementation(async function (
      this: TransferThreads,
      task,
    ) {
      const placed = await place.call(this, task)
      removal = await besides(removeOnce)
      return placed
    })
    await syncOnce(site).finally(() => placing.mockRestore())
    await removal?.ended

    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, blob_key: KEY })
    expect(await widgetRow(databases, site, GONE)).toBeUndefined()
    expect(await readFile(join(root, KEY), 'utf8')).toBe('bytes')
  })

  it('also while one gets the file at the moment at which it is removed for another', async () => {
    await addGoingRow()
    const id = await addWantedWidget(databases, site, { key: KEY })
    let sync: { ended: Promise<void> } | undefined
    beforeRemoval = async () => {
      sync = await besides(() => syncOnce(site))
    }
    await removeOnce()
    await sync?.ended

    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, blob_key: KEY })
    expect(await widgetRow(databases, site, GONE)).toBeUndefined()
    expect(await readFile(join(root, KEY), 'utf8')).toBe('bytes')
  })

  it('also where the file that lay in its place already is removed before the row is marked', async () => {
    await addGoingRow()
    const first = await addWantedWidget(databases, site, { key: KEY, hashed: 'bytes' })
    await syncOnce(site)
    await databases.tracking('widget_registry').where({ widget_id: first }).delete()
    await addRegistryRow(databases.tracking, untyped(site.replicables.widgets), first)
    let sync: { ended: Promise<void> } | undefined
    beforeRemoval = async () => {
      sync = await besides(() => syncOnce(site))
    }
    await removeOnce()
    await sync?.ended

    // Found where it was to be, then lost: it waits to be fetched like any other.
    expect(await widgetRow(databases, site, first)).toMatchObject({ state: SYNC_STATE.pending, lease_id: null })
    await syncOnce(site)
    expect(await widgetRow(databases, site, first)).toMatchObject({ state: SYNC_STATE.synced, blob_key: KEY })
    expect(await readFile(join(root, KEY), 'utf8')).toBe('bytes')
  })
})
