import { access, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Replicable } from '../lib/blob/replicable.ts'
import { type EventName, insertEvents } from '../lib/event/event-log.ts'
import { defineReplicable, localDisk, type SelectiveSync } from '../lib/index.ts'
import { askReconciliation } from '../lib/registry/reconciliation-table.ts'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../lib/verification/verification-state.ts'
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
  await site.databases.caughtUp()
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

  describe('and that throws while events come', () => {
    const health = async () => (await site.geo.health()).findings.filter(({ code }) => code === 'SCOPE_FAILED')
    const warnings = () => site.logger.codes().filter((code) => code === 'SCOPE_FAILED')
    const fails = (): never => {
      throw new Error('no such owner')
    }

    async function tell(replicable: Replicable, name: EventName, ...ids: string[]): Promise<void> {
      const events = ids.map((recordId) => ({ recordId }))
      await insertEvents(site.databases.main, replicable.name, name, events)
    }

    async function pass(): Promise<void> {
      site.clock.advance(60_000)
      await site.run('reconcile')
    }

    beforeEach(async () => {
      scope = (query) => query
      await site.databases.tracking('geo_drift_counts').delete()
      await pass()
      site.logger.clear()
    })

    it('holds up no other type; one pass heals all that was told, and none of it is drift', async () => {
      const { main, tracking } = site.databases
      const copy = { state: SYNC_STATE.synced, verification_state: V.disabled }
      const record = (id: string) =>
        main('widget_states').insert({
          widget_id: id,
          verification_state: V.succeeded,
          verification_checksum: Buffer.from('01aaaaaaaaaaaaaaaa', 'hex'),
        })
      const [updated, deleted, summed] = [
        await add(site.widgets, 'ann', 'former'),
        await add(site.widgets, 'ann', 'to go'),
        await add(site.widgets, 'ann', 'summed'),
      ]
      await addRegistryRow(tracking, site.widgets, updated, { ...copy, blob_key: 'former' })
      await addRegistryRow(tracking, site.widgets, deleted, { ...copy, blob_key: 'to go' })
      await addRegistryRow(tracking, site.widgets, summed, { ...copy, blob_key: 'summed' })
      await pass()

      scope = fails
      const created = await add(site.widgets, 'ann', 'new')
      await main('widgets').where({ id: updated }).update({ file_path: 'other' })
      await main('widgets').where({ id: deleted }).delete()
      await record(summed)
      await tell(site.widgets, 'created', created)
      await tell(site.widgets, 'updated', updated)
      await tell(site.widgets, 'deleted', deleted)
      await tell(site.widgets, 'checksum_succeeded', summed)
      const gadget = await add(site.gadgets, null)
      await tell(site.gadgets, 'created', gadget)
      await site.hear()
      await tell(site.widgets, 'updated', updated)
      await site.hear()
      expect(await registeredIds(tracking, site.gadgets)).toEqual([gadget])
      expect(await registeredIds(tracking, site.widgets)).toEqual([updated, deleted, summed])
      expect(await registryRow(tracking, site.widgets, updated)).toMatchObject({ state: SYNC_STATE.synced })
      expect(warnings()).toEqual(['SCOPE_FAILED'])
      expect((await health()).map(({ message }) => message)).toEqual([
        'The scope of widget failed for the selection namespaces: no such owner',
        'Events were skipped while what this site is to hold of them could not be asked; still to be reconciled: widget',
      ])

      scope = (query) => query
      expect(await health()).toHaveLength(1)
      await pass()
      expect(await registryRow(tracking, site.widgets, created)).toMatchObject({ state: SYNC_STATE.pending })
      expect(await registryRow(tracking, site.widgets, updated)).toMatchObject({ state: SYNC_STATE.pending })
      expect(await removalsAsked(site.widgets)).toEqual([deleted])
      expect(await registryRow(tracking, site.widgets, summed)).toMatchObject({
        state: SYNC_STATE.synced,
        verification_state: V.pending,
      })
      expect(await health()).toEqual([])
      expect(await site.geo.drift()).toEqual([])
    })

    it.each([
      ['for what is not in the table any more', { a_former_column: 'ann' }],
      ['what one of its rows does not answer', '1 / (length(file_path) - length(file_path)) = 1'],
    ])('nor does one that asks %s', async (_, asked) => {
      const { tracking } = site.databases
      scope = (query) => (typeof asked === 'string' ? query.whereRaw(asked) : query.where(asked))
      const created = await add(site.widgets, 'ann', 'new')
      const gadget = await add(site.gadgets, null)
      await tell(site.widgets, 'created', created)
      await tell(site.gadgets, 'created', gadget)
      await site.hear()
      expect(await registeredIds(tracking, site.gadgets)).toEqual([gadget])
      expect(await registeredIds(tracking, site.widgets)).toEqual([])
      expect(site.logger.codes()).toEqual(['SCOPE_FAILED'])
      scope = (query) => query
      await pass()
      expect(await registryRow(tracking, site.widgets, created)).toMatchObject({ state: SYNC_STATE.pending })
      expect(await site.geo.drift()).toEqual([])
    })

    it('owes a pass that begins after the last of them, and does not begin the passes of others anew for each', async () => {
      const { tracking } = site.databases
      const owed = () =>
        tracking('geo_reconciliations').where({ replicable_name: 'widget' }).first('asked_at', 'asked_because')
      const id = await add(site.widgets, 'ann')
      scope = fails
      await tell(site.widgets, 'created', id)
      await site.hear()
      const first = await owed()
      expect(first).toMatchObject({ asked_because: 'SCOPE_FAILED' })
      const passOfGadgets = await tracking('geo_reconciliations').where({ replicable_name: 'gadget' }).first('began_at')
      await site.run('reconcile')
      expect(await tracking('geo_reconciliations').where({ replicable_name: 'gadget' }).first('began_at')).toEqual(
        passOfGadgets,
      )
      await tell(site.widgets, 'updated', id)
      await site.hear()
      expect((await owed()).asked_at.getTime()).toBeGreaterThan(first.asked_at.getTime())
      expect(warnings()).toEqual(['SCOPE_FAILED'])
    })

    it('leaves a pass owed for another reason as it is', async () => {
      const { tracking } = site.databases
      await askReconciliation(tracking, ['widget'], 'CURSOR_PRUNED')
      const before = await tracking('geo_reconciliations').where({ replicable_name: 'widget' }).first()
      scope = fails
      await tell(site.widgets, 'created', await add(site.widgets, 'ann'))
      await site.hear()
      expect(await tracking('geo_reconciliations').where({ replicable_name: 'widget' }).first()).toEqual(before)
    })
  })

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
