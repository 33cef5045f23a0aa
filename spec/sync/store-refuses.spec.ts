import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import { ROOM_BYTES } from '../../lib/blob/writable-stores.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import type { AssembledSite } from '../support/assembled-site.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { type StagedSecondary, stageSecondary } from '../support/staged-secondary.ts'
import type { StagedServer } from '../support/staged-server.ts'
import { addWantedWidget, answerFrames, blobFrame, syncOnce, widgetRow } from '../support/sync-batch.ts'

const FULL = { code: 'STORAGE_FULL', message: 'ENOSPC: no space left on device, write (blobs)' } as const

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
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(join(site.root, 'occupied'), { recursive: true, force: true })
})

const takesFiles = (failure: typeof FULL | null) =>
  vi.spyOn(site.parts.repairContext.threads, 'probe').mockResolvedValue(failure)
const claims = () => site.parts.sources.sync.claim()
const saysOf = async (code: string) =>
  (await site.parts.viewing.health()).findings.filter((finding) => finding.code === code).map(({ message }) => message)

/** A blob that cannot be stored, for there is a file in place of its folder. */
async function addUnstorable(): Promise<string> {
  const id = await addWantedWidget(databases, site, { key: 'occupied/file' })
  await writeFile(join(site.root, 'occupied'), 'a file')
  answerFrames(primary, (asked) => [blobFrame(asked, 'x')])
  return id
}

it('A store that takes no files pauses what is fetched for it: nothing is counted, and it goes on by itself', async () => {
  const probe = takesFiles(FULL)
  const id = await addUnstorable()
  await syncOnce(site)
  expect(await widgetRow(databases, site, id)).toMatchObject({
    state: SYNC_STATE.pending,
    retry_count: 0,
    retry_at: null,
    error_code: null,
  })
  expect(await claims(), 'nothing is asked for meanwhile').toBeNull()
  expect(await saysOf('STORAGE_FULL')).toEqual([`widget: ${FULL.message}`, `gadget: ${FULL.message}`])
  site.clock.advance(5001)
  expect(await claims()).toBeNull()
  expect(probe, 'once for the failure, and again after five seconds').toHaveBeenCalledTimes(2)

  takesFiles(null)
  await rm(join(site.root, 'occupied'))
  site.clock.advance(5001)
  await syncOnce(site)
  expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, retry_count: 0 })
  expect(await saysOf('STORAGE_FULL')).toEqual([])
})

it('A failure that is judged just after the store takes files again may still be of before: nothing is counted until later', async () => {
  takesFiles(FULL)
  const id = await addUnstorable()
  await syncOnce(site)
  takesFiles(null)
  site.clock.advance(5001)
  await syncOnce(site)
  expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0 })

  site.clock.advance(5001)
  await syncOnce(site)
  expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.failed, retry_count: 1 })
})

it('A blob that cannot be stored in a store that takes others has failed by itself', async () => {
  const id = await addUnstorable()
  await syncOnce(site)
  expect(await widgetRow(databases, site, id)).toMatchObject({
    state: SYNC_STATE.failed,
    retry_count: 1,
    error_code: 'STORAGE_ERROR',
  })
  expect(await saysOf('STORAGE_ERROR')).toEqual([])
})

describe('A blob for which there was no room in a store that takes others', () => {
  const fetched = (id: string) =>
    vi.spyOn(site.parts.repairContext.threads, 'receive').mockResolvedValueOnce({
      outcomes: [{ outcome: 'failed', id, ...FULL }],
      refusal: null,
      unspent: 0,
    })

  it('has not failed by itself if it is small: all of its batch need more than there is', async () => {
    const id = await addWantedWidget(databases, site, { key: 'small' })
    fetched(id)
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0 })
    expect(await saysOf('STORAGE_FULL')).toEqual([
      `widget: There is no room for all blobs of a batch (${site.root})`,
      `gadget: There is no room for all blobs of a batch (${site.root})`,
    ])
    expect(await claims(), 'nothing is asked for meanwhile').toBeNull()
    site.clock.advance(5001)
    answerFrames(primary, (asked) => [blobFrame(asked, 'x')])
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, retry_count: 0 })
  })

  it('has failed by itself if it needs more than a store has to have', async () => {
    const id = await addWantedWidget(databases, site, { key: 'large', registry: { bytes: ROOM_BYTES + 1 } })
    fetched(id)
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.failed, retry_count: 1 })
    expect(await saysOf('STORAGE_FULL')).toEqual([])
  })
})

it('A store is asked by writing to it, which leaves nothing behind', async () => {
  const { threads } = site.parts.repairContext
  const before = await readdir(site.root)
  expect(await threads.probe(site.root)).toBeNull()
  expect(await readdir(site.root)).toEqual(before)
  expect(await threads.probe(join(site.root, MARKER_NAME))).toMatchObject({ code: 'STORAGE_ERROR' })
})
