import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import { insertEvents } from '../../lib/event/event-log.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { step } from '../../lib/testing/settle.ts'
import { registeredIds, untyped } from '../support/fixture-rows.ts'
import { type StagedSecondary, stageSecondary } from '../support/staged-secondary.ts'
import { addWantedWidget, answerFrames, blobFrame, syncOnce, widgetRow } from '../support/sync-batch.ts'

let staged: StagedSecondary
let id: string

beforeAll(async () => {
  staged = await stageSecondary()
  answerFrames(staged.primary, (asked) => [blobFrame(asked, 'bytes')])
  // A new site begins behind the events of the day.
  await step(staged.site.parts, 'events')
})
afterAll(() => staged?.close())

async function refuseMarks(marks: string, code: string): Promise<void> {
  await staged.databases.tracking.raw(`
    create function no_marks() returns trigger language plpgsql as
      $$ begin raise exception 'gone' using errcode = '${code}'; end $$;
    create trigger no_marks before update on widget_registry for each row when (${marks}) execute function no_marks()`)
}

/** Something happens after a file got its name and before its row was marked. */
async function refuse(marks: string, code: string): Promise<void> {
  const { databases, site } = staged
  id = await addWantedWidget(databases, site, { key: 'placed' })
  await refuseMarks(marks, code)
  await expect(syncOnce(site)).rejects.toThrow('gone')
  await databases.tracking.raw('drop function no_marks cascade')
  expect(await files()).toEqual(['placed'])
  await databases.tracking('geo_leases').update({ expires_at: '2000-01-01' })
}
afterEach(async () => {
  const { main, tracking } = staged.databases
  await main('widgets').delete()
  await tracking('widget_registry').delete()
  await Promise.all((await files()).map((name) => rm(join(staged.site.root, name))))
})

const files = async () => (await readdir(staged.site.root)).filter((name) => !name.startsWith('.geo-')).sort()

async function tell(event: 'deleted' | 'updated'): Promise<void> {
  await insertEvents(staged.databases.main, 'widget', event, [{ recordId: id }])
  await step(staged.site.parts, 'events')
}

const takeOver = () => step(staged.site.parts, 'end-dead-leases')

async function removeAll(): Promise<void> {
  const { remove } = staged.site.parts.sources
  for (let batch = await remove.claim(); batch; batch = await remove.claim()) await remove.work(batch)
}

describe.each([
  ['its process died', 'old.lease_id is not null', 'P0001'],
  ['its database took too long', `new.state = ${SYNC_STATE.synced}`, '57014'],
])('A file that got its name, and whose row was not marked, for %s', (_, marks, code) => {
  beforeEach(() => refuse(marks, code))

  it.each([
    ['before', [() => tell('deleted'), removeAll, takeOver]],
    ['after', [takeOver, () => tell('deleted')]],
  ])('goes with the row that is deleted %s the work is taken over', async (_, steps) => {
    const { databases, site } = staged
    await databases.main('widgets').delete()
    for (const each of steps) await each()
    await removeAll()
    expect(await files()).toEqual([])
    expect(await registeredIds(databases.tracking, untyped(site.replicables.widgets))).toEqual([])
  })

  it.each([
    ['before', [() => tell('updated'), takeOver]],
    ['after', [takeOver, () => tell('updated')]],
  ])('goes where the row gets another file %s the work is taken over', async (_, steps) => {
    const { databases, site } = staged
    await databases.main('widgets').update({ file_path: 'another' })
    for (const each of steps) await each()
    await syncOnce(site)
    await removeAll()
    expect(await files()).toEqual(['another'])
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, superseded_keys: null })
  })

  it('stays where the row is fetched again under the same name before it goes', async () => {
    const { databases, site } = staged
    await takeOver()
    await syncOnce(site)
    await removeAll()
    expect(await files()).toEqual(['placed'])
    expect(await widgetRow(databases, site, id)).toMatchObject({ blob_key: 'placed', superseded_keys: null })
  })
})

/** There is no folder below a file. */
async function unsyncable(): Promise<void> {
  const { site } = staged
  const { threads } = site.parts.repairContext
  const place = threads.place.bind(threads)
  const folders = [join(site.root, MARKER_NAME, 'folder')]
  const broken = vi
    .spyOn(threads, 'place')
    .mockImplementationOnce((task) => place({ ...task, blobs: task.blobs.map((blob) => ({ ...blob, folders })) }))
  await syncOnce(site)
  expect(broken).toHaveBeenCalled()
  broken.mockRestore()
}

async function refusedMark(): Promise<void> {
  const { databases, site } = staged
  await refuseMarks(`new.state = ${SYNC_STATE.synced}`, '22012')
  await syncOnce(site)
  await databases.tracking.raw('drop function no_marks cascade')
}

describe.each([
  ['whose folder could not be synced', unsyncable],
  ['whose mark was refused for what it is', refusedMark],
])('A file that got its name, and %s', (_, attempt) => {
  beforeEach(async () => {
    const { databases, site } = staged
    id = await addWantedWidget(databases, site, { key: 'placed' })
    await attempt()
    expect(await files()).toEqual(['placed'])
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.failed, blob_key: null })
  })

  it('goes with the row that is deleted', async () => {
    await staged.databases.main('widgets').delete()
    await tell('deleted')
    await removeAll()
    expect(await files()).toEqual([])
  })

  it('goes where the row gets another file', async () => {
    const { databases, site } = staged
    await databases.main('widgets').update({ file_path: 'another' })
    await tell('updated')
    await syncOnce(site)
    await removeAll()
    expect(await files()).toEqual(['another'])
  })
})
