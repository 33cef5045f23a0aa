import { access, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Replicable } from '../lib/blob/replicable.ts'
import { insertEvents } from '../lib/event/event-log.ts'
import { defineReplicable, localDisk, type SelectiveSync } from '../lib/index.ts'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { addHostRow, addRegistryRow, registeredIds, registryRow } from './support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from './support/secondary-site.ts'

const ONLY_ANN: SelectiveSync = { type: 'namespaces', namespaceIds: ['ann'], shards: [] }

let site: SecondarySite

/** A row of the owner, or of nobody, with a key of its own or a given one. */
async function add(replicable: Replicable, owner: string | null, filePath = `of ${owner}`): Promise<string> {
  const id = await addHostRow(site.databases.main, replicable, { filePath })
  await site.databases.main(replicable.table).where({ id }).update({ owner })
  return id
}

async function publish(name: 'created' | 'updated' | 'deleted', ...ids: string[]): Promise<void> {
  const { main } = site.databases
  await insertEvents(
    main,
    'widget',
    name,
    ids.map((recordId) => ({ recordId })),
  )
}

async function removalsAsked({ names }: Replicable): Promise<string[]> {
  const rows = await site.databases
    .tracking(names.registryTable)
    .whereNotNull('removal_requested_at')
    .orderBy(names.foreignKey)
  return rows.map((row) => String(row[names.foreignKey]))
}

async function carryOutRemovals(): Promise<void> {
  const { remove } = site.assembly.sources
  for (let batch = await remove.claim(); batch; batch = await remove.claim()) await remove.work(batch)
}

async function emptyRegistries(): Promise<void> {
  for (const table of ['widget_registry', 'gadget_registry']) await site.databases.tracking(table).delete()
}

async function emptyTables(): Promise<void> {
  for (const table of ['widgets', 'gadgets']) await site.databases.main(table).delete()
  await emptyRegistries()
}

describe('A secondary with selective sync', () => {
  beforeAll(async () => {
    site = await createSecondarySite()
    // The first look at the log only notes where it begins.
    await site.hear()
  })
  afterAll(() => site.close())
  beforeEach(async () => {
    await emptyTables()
    await site.update({ selectiveSync: ONLY_ANN })
    await site.run('reconcile')
  })

  const file = (key: string) => join(site.root, key)
  const there = (key: string) =>
    access(file(key)).then(
      () => true,
      () => false,
    )

  async function addFile(key: string): Promise<void> {
    await mkdir(dirname(file(key)), { recursive: true })
    await writeFile(file(key), 'bytes')
  }

  it('holds registries of the rows in its scope alone, whatever they are built by', async () => {
    const { tracking } = site.databases
    const ann = await add(site.widgets, 'ann')
    const bob = await add(site.widgets, 'bob')
    const nobody = await add(site.gadgets, null)
    await publish('created', ann, bob)
    await publish('updated', ann, bob)
    await site.hear()
    expect(await registeredIds(tracking, site.widgets)).toEqual([ann])
    await emptyRegistries()
    site.clock.advance(60_000)
    await site.run('reconcile')
    expect(await registeredIds(tracking, site.widgets)).toEqual([ann])
    expect(await registeredIds(tracking, site.gadgets)).toEqual([nobody])
  })

  it('begins a reconciliation at once when its scope changes: rows come in and go out by it', async () => {
    const { tracking } = site.databases
    const ids = { ann: await add(site.widgets, 'ann'), bob: await add(site.widgets, 'bob') }
    await site.update({ selectiveSync: null })
    await site.run('reconcile')
    expect(await registeredIds(tracking, site.widgets)).toEqual([ids.ann, ids.bob])
    expect(await removalsAsked(site.widgets)).toEqual([])
    await site.update({ selectiveSync: { ...ONLY_ANN, namespaceIds: ['bob'] } })
    await site.run('reconcile')
    expect(await removalsAsked(site.widgets)).toEqual([ids.ann])
    await site.update({ selectiveSync: ONLY_ANN })
    await site.run('reconcile')
    expect(await removalsAsked(site.widgets)).toEqual([ids.bob])
    expect(await registryRow(tracking, site.widgets, ids.ann)).toMatchObject({ state: SYNC_STATE.pending })
  })

  it('ignores the scope for a row that was deleted', async () => {
    const { tracking } = site.databases
    const bob = await add(site.widgets, 'bob')
    for (const id of ['900', bob]) await addRegistryRow(tracking, site.widgets, id, { state: SYNC_STATE.synced })
    await publish('deleted', '900')
    await publish('updated', bob)
    await site.hear()
    // What has only left the scope is left to reconciliation.
    expect(await removalsAsked(site.widgets)).toEqual(['900'])
  })

  it('does not fetch a row that has left the scope since it was claimed: its registry goes', async () => {
    const { main, tracking } = site.databases
    const id = await add(site.widgets, 'ann')
    await addRegistryRow(tracking, site.widgets, id)
    const batch = await site.assembly.sources.sync.claim()
    if (!batch) throw new Error('Nothing was claimed')
    await main('widgets').where({ id }).update({ owner: 'bob' })
    await site.databases.caughtUp()
    await site.assembly.sources.sync.work(batch)
    expect(await removalsAsked(site.widgets)).toEqual([id])
    expect(site.assembly.sources.sync.refusal).toBeNull()
  })

  it('removes the files of rows that left, but not one that a row of another owner holds', async () => {
    const { tracking } = site.databases
    const left = await add(site.widgets, 'bob', 'alone')
    const sharing = await add(site.widgets, 'bob', 'shared')
    const kept = await add(site.widgets, 'ann', 'shared')
    for (const [id, key] of [
      [left, 'alone'],
      [sharing, 'shared'],
      [kept, 'shared'],
    ] as const) {
      await addRegistryRow(tracking, site.widgets, id, { state: SYNC_STATE.synced, blob_key: key })
      await addFile(key)
    }
    site.clock.advance(60_000)
    await site.run('reconcile')
    await carryOutRemovals()
    expect(await registeredIds(tracking, site.widgets)).toEqual([kept])
    expect([await there('alone'), await there('shared')]).toEqual([false, true])
  })

  it('keeps a row that is in scope again before its removal is carried out', async () => {
    const { tracking } = site.databases
    const [ann, bob] = [await add(site.widgets, 'ann', 'hers'), await add(site.widgets, 'bob', 'his')]
    for (const [id, key] of [
      [ann, 'hers'],
      [bob, 'his'],
    ] as const) {
      await addRegistryRow(tracking, site.widgets, id, {
        state: SYNC_STATE.synced,
        blob_key: key,
        removal_requested_at: tracking.fn.now(),
      })
      await addFile(key)
    }
    await carryOutRemovals()
    expect(await registeredIds(tracking, site.widgets)).toEqual([ann])
    expect([await there('hers'), await there('his')]).toEqual([true, false])
  })
})

describe('A scope that the host wrote', () => {
  let scope: NonNullable<Replicable['scope']>

  beforeAll(async () => {
    site = await createSecondarySite({
      declare: (root) => {
        const store = localDisk({ root })
        const blob = (row: { file_path: string | null }) => row.file_path
        return [
          defineReplicable({
            name: 'widget',
            table: 'widgets',
            verificationState: 'separate',
            store,
            blob,
            available: (query) => query.whereNotNull('file_path'),
            scope: (query, selection) => scope(query, selection),
          }),
          defineReplicable({
            name: 'gadget',
            table: 'gadgets',
            keyType: 'uuid',
            verificationState: 'columns',
            store,
            blob,
          }),
        ]
      },
    })
    scope = (query) => query
    await site.hear()
    await site.update({ selectiveSync: ONLY_ANN })
  })
  afterAll(() => site.close())
  beforeEach(async () => {
    await emptyTables()
    site.clock.advance(60_000)
  })

  it.each([
    {
      how: 'throws',
      answer: () => {
        throw new Error('no such owner')
      },
      message: 'The scope of widget failed for the selection namespaces: no such owner',
    },
    { how: 'returns no query', answer: () => undefined, message: 'The scope of widget returned no query' },
  ])(
    'and that $how fails its job; nothing is removed or fetched, and other types go on',
    async ({ answer, message }) => {
      const { tracking } = site.databases
      scope = answer as unknown as typeof scope
      await addRegistryRow(tracking, site.widgets, '7')
      await addRegistryRow(tracking, site.widgets, '8', { removal_requested_at: tracking.fn.now() })
      await add(site.gadgets, null)
      await expect(site.run('reconcile')).rejects.toMatchObject({ code: 'SCOPE_FAILED', message })
      await expect(site.run('reconcile')).rejects.toMatchObject({ code: 'SCOPE_FAILED' })
      expect(await registeredIds(tracking, site.gadgets)).toHaveLength(1)
      await tracking('gadget_registry').delete()
      expect(await site.assembly.sources.sync.claim()).toBeNull()
      expect(await site.assembly.sources.remove.claim()).toBeNull()
      expect(await removalsAsked(site.widgets)).toEqual(['8'])
    },
  )

  it('and that holds an "or" lets in no row that was not asked for', async () => {
    const { tracking } = site.databases
    scope = (query) => query.where('owner', 'ann').orWhere('owner', 'bob')
    await add(site.widgets, 'ann')
    const bob = await add(site.widgets, 'bob')
    await publish('created', bob)
    await site.hear()
    expect(await registeredIds(tracking, site.widgets)).toEqual([bob])
  })
})
