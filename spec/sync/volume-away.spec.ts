import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import { requestRemoval } from '../../lib/registry/removal.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import type { AssembledSite } from '../support/assembled-site.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'
import { type StagedSecondary, stageSecondary } from '../support/staged-secondary.ts'
import type { StagedServer } from '../support/staged-server.ts'
import { addWantedWidget, answerFrames, blobFrame, widgetRow } from '../support/sync-batch.ts'

let staged: StagedSecondary
let databases: SpecDatabases
let primary: StagedServer
let site: AssembledSite

beforeAll(async () => {
  staged = await stageSecondary()
  ;({ databases, primary, site } = staged)
})
afterAll(() => staged?.close())
beforeEach(async () => {
  await databases.tracking('widget_registry').delete()
  site.clock.advance(3_600_000)
  // The marker is made by the first look.
  await site.parts.sources.sync.claim()
})
afterEach(mounted)

/** Another disk takes the place of the store, with a file under that key. */
async function otherDisk(key: string): Promise<void> {
  await rename(site.root, `${site.root}.away`)
  await mkdir(dirname(join(site.root, key)), { recursive: true })
  await writeFile(join(site.root, key), 'of another disk')
  await writeFile(join(site.root, MARKER_NAME), JSON.stringify({ site: 'paris', store: 'another' }))
}

async function mounted(): Promise<void> {
  const isAway = await readFile(join(`${site.root}.away`, MARKER_NAME)).then(
    () => true,
    () => false,
  )
  if (!isAway) return
  await rm(site.root, { recursive: true })
  await rename(`${site.root}.away`, site.root)
  site.clock.advance(1001)
}

const untouched = async (key: string) =>
  expect(await readFile(join(site.root, key), 'utf8'), 'the file of the other disk').toBe('of another disk')
const required = <Value>(value: Value | null): Value => {
  if (value === null) throw new Error('There was nothing to claim')
  return value
}

it('A blob that was asked for is not stored on a disk that has taken the place of the store meanwhile', async () => {
  const { sync } = site.parts.sources
  const id = await addWantedWidget(databases, site, { key: 'a/file' })
  answerFrames(primary, (asked) => [blobFrame(asked, 'x')])
  const batch = required(await sync.claim())
  await otherDisk('a/file')
  await sync.work(batch)
  await untouched('a/file')
  const waits = { state: SYNC_STATE.pending, retry_count: 0, error_code: null }
  expect(await widgetRow(databases, site, id)).toMatchObject(waits)

  await mounted()
  await sync.work(required(await sync.claim()))
  expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, retry_count: 0 })
  expect(await readFile(join(site.root, 'a/file'), 'utf8')).toBe('x')
})

it('A file is not removed from it, nor called removed for it is not there', async () => {
  const { remove } = site.parts.sources
  const widgets = untyped(site.replicables.widgets)
  const id = await addWantedWidget(databases, site, {
    key: 'b/file',
    registry: { state: SYNC_STATE.synced, blob_key: 'b/file' },
  })
  await mkdir(join(site.root, 'b'), { recursive: true })
  await writeFile(join(site.root, 'b/file'), 'mine')
  await databases.main('widgets').where({ id }).delete()
  await requestRemoval(databases.tracking, widgets, [id])
  const batch = required(await remove.claim())
  await otherDisk('b/file')
  await remove.work(batch)
  await untouched('b/file')
  expect(await widgetRow(databases, site, id)).toMatchObject({ error_code: null, removal_retry_at: null })

  await mounted()
  await remove.work(required(await remove.claim()))
  expect(await databases.tracking('widget_registry').first()).toBeUndefined()
  await expect(readFile(join(site.root, 'b/file'))).rejects.toMatchObject({ code: 'ENOENT' })
})

it('A copy that is hashed on it has not failed', async () => {
  const { verify } = site.parts.sources
  const id = await addWantedWidget(databases, site, {
    key: 'c/file',
    hashed: 'mine',
    registry: { state: SYNC_STATE.synced, blob_key: 'c/file' },
  })
  await mkdir(join(site.root, 'c'), { recursive: true })
  await writeFile(join(site.root, 'c/file'), 'mine')
  const batch = required(await verify.claim())
  await otherDisk('c/file')
  await verify.work(batch)
  const waits = { verification_state: VERIFICATION_STATE.pending, verification_retry_count: 0 }
  expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, ...waits })

  await mounted()
  await verify.work(required(await verify.claim()))
  expect(await widgetRow(databases, site, id)).toMatchObject({ verification_state: VERIFICATION_STATE.succeeded })
})
