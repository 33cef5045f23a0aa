import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { insertEvents } from '../../lib/event/event-log.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { addHostRow, addRegistryRow, registeredIds, registryRow, registryRows } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

const XXH64 = Buffer.from('01aaaaaaaaaaaaaaaa', 'hex')
const ANOTHER = Buffer.from('01bbbbbbbbbbbbbbbb', 'hex')
const SHA256 = Buffer.from('02aaaaaaaaaaaaaaaa', 'hex')

let site: SecondarySite

beforeAll(async () => {
  site = await createSecondarySite()
})
afterAll(() => site.close())
beforeEach(async () => {
  const { main, tracking } = site.databases
  for (const table of ['widgets', 'gadgets', 'geo_events']) await main(table).delete()
  for (const table of ['widget_registry', 'gadget_registry', 'geo_drift_counts', 'geo_reconciliations']) {
    await tracking(table).delete()
  }
  await site.hear()
  await pass()
})

async function pass(): Promise<void> {
  site.clock.advance(60_000)
  await site.run('reconcile')
}

async function record({ table, names, verificationState }: Replicable, id: string, checksum: Buffer): Promise<void> {
  const state = { verification_state: V.succeeded, verification_checksum: checksum }
  if (verificationState === 'columns') await site.databases.main(table).where({ id }).update(state)
  else
    await site.databases
      .main(names.stateTable)
      .insert({ [names.foreignKey]: id, ...state })
      .onConflict(names.foreignKey)
      .merge()
}

const verified = {
  state: S.synced,
  blob_key: 'some/file',
  verification_state: V.succeeded,
  verification_checksum: XXH64,
}

/** A row and its copy, in step, of which a pass has noted the version. */
async function inStep(replicable: Replicable): Promise<string> {
  const id = await addHostRow(site.databases.main, replicable)
  await record(replicable, id, XXH64)
  await addRegistryRow(site.databases.tracking, replicable, id, verified)
  await pass()
  return id
}

async function counted(): Promise<Record<string, number>> {
  return Object.fromEntries(
    (await site.geo.drift()).map(({ replicable, kind, count }) => [`${replicable} ${kind}`, count]),
  )
}

describe.each(['widgets', 'gadgets'] as const)('Of %s, an event that was lost', (type) => {
  const replicable = () => site[type]
  const row = (id: string) => registryRow(site.databases.tracking, replicable(), id)
  const only = (kind: string) => ({ [`${replicable().name} ${kind}`]: 1 })

  it('created: the row is found within one pass, as backfill, and counted', async () => {
    const id = await addHostRow(site.databases.main, replicable())
    await pass()
    expect(await row(id)).toMatchObject({ state: S.pending, backfill: true })
    expect(await counted()).toEqual(only('row_without_registry'))
  })

  it('deleted: the registry row is asked to go, and counted', async () => {
    const id = await inStep(replicable())
    await site.databases.main(replicable().table).where({ id }).delete()
    await pass()
    expect(await row(id)).toMatchObject({ removal_requested_at: expect.any(Date) })
    expect(await counted()).toEqual(only('registry_without_row'))
  })

  it('updated, with another key: the copy is fetched again, and counted', async () => {
    const id = await inStep(replicable())
    await site.databases.main(replicable().table).where({ id }).update({ file_path: 'another/file' })
    await pass()
    expect(await row(id)).toMatchObject({
      state: S.pending,
      verification_state: V.disabled,
      retry_count: 0,
      blob_key: 'some/file',
    })
    expect(await counted()).toEqual(only('key_changed'))
  })

  it.each([
    ['other bytes', ANOTHER],
    ['the same digits by another algorithm', SHA256],
  ])('checksum_succeeded, of %s: the copy is hashed again, and counted', async (_, checksum) => {
    const id = await inStep(replicable())
    await record(replicable(), id, checksum)
    await pass()
    expect(await row(id)).toMatchObject({ state: S.synced, verification_state: V.pending })
    expect(await counted()).toEqual(only('checksum_changed'))
  })

  it('checksum_succeeded, the first one: a copy that waits for it is hashed', async () => {
    const { main, tracking } = site.databases
    const id = await addHostRow(main, replicable())
    await addRegistryRow(tracking, replicable(), id, {
      ...verified,
      verification_state: V.disabled,
      verification_checksum: null,
    })
    await pass()
    expect(await row(id)).toMatchObject({ verification_state: V.disabled })
    await record(replicable(), id, XXH64)
    await pass()
    expect(await row(id)).toMatchObject({ state: S.synced, verification_state: V.pending })
    expect(await counted()).toEqual(only('checksum_unknown'))
  })

  it('leaves a row in step as it is, however often it changes otherwise', async () => {
    const id = await inStep(replicable())
    const before = await row(id)
    expect(before?.['row_version']).not.toBeNull()
    await site.databases.main(replicable().table).where({ id }).update({ name: 'renamed' })
    await pass()
    expect(await row(id)).toEqual({ ...before, row_version: expect.any(String) })
    expect((await row(id))?.['row_version']).not.toBe(before?.['row_version'])
    expect(await counted()).toEqual({})
  })

  it('leaves what has failed to its retries', async () => {
    const id = await inStep(replicable())
    const failed = { state: S.failed, verification_state: V.failed, retry_count: 3, verification_retry_count: 3 }
    await site.databases.tracking(replicable().names.registryTable).update(failed)
    await site.databases.main(replicable().table).where({ id }).update({ file_path: 'another/file' })
    await record(replicable(), id, ANOTHER)
    await pass()
    expect(await row(id)).toMatchObject(failed)
  })
})

describe('What a pass finds counts as drift', () => {
  it('only where no event is still to tell of it', async () => {
    const { main } = site.databases
    const [untold, toBeTold] = [await addHostRow(main, site.widgets), await addHostRow(main, site.widgets)]
    await insertEvents(main, 'widget', 'created', [{ recordId: toBeTold }])
    await insertEvents(main, 'gadget', 'created', [{ recordId: untold }])
    await pass()
    expect(await registeredIds(site.databases.tracking, site.widgets)).toEqual([untold, toBeTold])
    expect(await counted()).toEqual({ 'widget row_without_registry': 1 })
  })

  it('not on the first pass of a type, nor after its selection changed: that is the backfill', async () => {
    const { main, tracking } = site.databases
    const ann = await addHostRow(main, site.widgets)
    await main('widgets').update({ owner: 'ann' })
    await tracking('geo_reconciliations').delete()
    await pass()
    expect(await registeredIds(tracking, site.widgets)).toEqual([ann])
    await site.update({ selectiveSync: { type: 'namespaces', namespaceIds: ['bob'] } })
    await site.run('reconcile')
    await site.update({ selectiveSync: null })
    await site.run('reconcile')
    expect(await counted()).toEqual({})
    await tracking('widget_registry').delete()
    await pass()
    expect(await counted()).toEqual({ 'widget row_without_registry': 1 })
  })
})

describe('A copy that was fetched by an older version of its row', () => {
  it('is looked at again, whatever a pass noted meanwhile', async () => {
    const { main, tracking } = site.databases
    const id = await inStep(site.widgets)
    const [{ xmin: older }] = (await main.raw('select xmin::text from widgets')).rows
    await main('widgets').where({ id }).update({ file_path: 'another/file' })
    // As if a fetch had been under way since before the update, and ended after the pass that saw it.
    await tracking('widget_registry').update({ state: S.started })
    await pass()
    await tracking('widget_registry').update({ state: S.synced, row_version: older })
    await pass()
    expect((await registryRows(tracking, site.widgets))[0]).toMatchObject({ state: S.pending, blob_key: 'some/file' })
  })
})
