import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { insertPending } from '../../lib/registry/registry.ts'
import {
  claimRemovals,
  failRemoval,
  finishRemovals,
  keysInUse,
  type RemovalRow,
  requestRemoval,
  typesToRemove,
} from '../../lib/registry/removal.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import {
  addLease,
  addRegistryRow,
  registeredIds,
  registryRow,
  secondsFromNow,
  untyped,
} from '../support/fixture-rows.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)
const LEASE = '5'

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
  for (const id of [LEASE, '9']) await addLease(databases.tracking, { id, kind: 'removal' })
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const table of ['widget_registry', 'gadget_registry']) await databases.tracking(table).delete()
})

const synced = (id: string, columns: object = {}) =>
  addRegistryRow(databases.tracking, widgets, id, { state: SYNC_STATE.synced, blob_key: `file-${id}`, ...columns })
const claim = () => databases.tracking.transaction((trx) => claimRemovals(trx, widgets, LEASE, 100))
const finish = (rows: readonly RemovalRow[]) =>
  databases.tracking.transaction((trx) => finishRemovals(trx, widgets, LEASE, rows))

describe('A removal', () => {
  it('keeps the moment at which it was first asked for', async () => {
    const { tracking } = databases
    await synced('1')
    expect(await requestRemoval(tracking, widgets, ['1', '2'])).toBe(1)
    const first = await registryRow(tracking, widgets, '1')
    await requestRemoval(tracking, widgets, ['1'])
    expect(await registryRow(tracking, widgets, '1')).toEqual(first)
  })

  it('is claimed with the keys of all its files, and ends the row', async () => {
    const { tracking } = databases
    await synced('1', { superseded_keys: ['older', 'old'] })
    await synced('2')
    await requestRemoval(tracking, widgets, ['1'])
    expect(await typesToRemove(tracking, [widgets, gadgets])).toEqual([widgets])
    const claimed = await claim()
    expect(claimed).toEqual([{ id: '1', whole: true, key: 'file-1', supersededKeys: ['older', 'old'] }])
    expect(await claim()).toEqual([])
    expect(await typesToRemove(tracking, [widgets, gadgets])).toEqual([])
    await finish(claimed)
    expect(await registeredIds(tracking, widgets)).toEqual(['2'])
  })

  it('of an earlier file leaves the row', async () => {
    const { tracking } = databases
    await synced('1', { superseded_keys: ['old'] })
    const claimed = await claim()
    expect(claimed).toEqual([{ id: '1', whole: false, key: 'file-1', supersededKeys: ['old'] }])
    await finish(claimed)
    expect(await registryRow(tracking, widgets, '1')).toMatchObject({
      state: SYNC_STATE.synced,
      blob_key: 'file-1',
      superseded_keys: null,
      lease_id: null,
    })
  })

  it('waits for a transfer that is under way, and for the next attempt after a failure', async () => {
    const { tracking } = databases
    await synced('1', { lease_id: '9', removal_requested_at: tracking.fn.now() })
    await synced('2', { removal_requested_at: tracking.fn.now(), removal_retry_at: secondsFromNow(tracking, 60) })
    expect(await claim()).toEqual([])
  })

  it('that fails says why, and is due again later', async () => {
    const { tracking } = databases
    await synced('1', { removal_requested_at: tracking.fn.now() })
    await claim()
    const failure = { id: '1', code: 'STORAGE_ERROR', message: 'x'.repeat(300), retryInSeconds: 60 }
    await tracking.transaction((trx) => failRemoval(trx, widgets, LEASE, failure))
    expect(await registryRow(tracking, widgets, '1')).toMatchObject({
      error_code: 'STORAGE_ERROR',
      last_sync_failure: `${'x'.repeat(252)}...`,
      removal_requested_at: expect.any(Date),
      lease_id: null,
    })
    expect(await claim()).toEqual([])
    await requestRemoval(tracking, widgets, ['1'])
    expect(await claim()).toHaveLength(1)
  })

  it('does not end a row whose record came back after the claim', async () => {
    const { tracking } = databases
    await synced('1', { removal_requested_at: tracking.fn.now() })
    const claimed = await claim()
    await insertPending(tracking, widgets, ['1'])
    await finish(claimed)
    expect(await registryRow(tracking, widgets, '1')).toMatchObject({ state: SYNC_STATE.pending, lease_id: null })
  })

  it('does not end a row that another took up', async () => {
    const { tracking } = databases
    await synced('1', { removal_requested_at: tracking.fn.now(), lease_id: '6' })
    await finish([{ id: '1', whole: true, key: 'file-1', supersededKeys: [] }])
    expect(await registeredIds(tracking, widgets)).toEqual(['1'])
  })
})

describe('A file', () => {
  const inUse = (...keys: string[]) =>
    databases.tracking.transaction((trx) => keysInUse(trx, [widgets, gadgets], keys, LEASE))

  it('is in use by a row that stays, of any type that shares the store', async () => {
    const { tracking } = databases
    await synced('1', { blob_key: 'shared', removal_requested_at: tracking.fn.now(), lease_id: LEASE })
    await synced('2', { blob_key: 'shared' })
    await addRegistryRow(tracking, gadgets, crypto.randomUUID(), { blob_key: 'of a gadget' })
    await synced('3', { blob_key: 'alone', removal_requested_at: tracking.fn.now(), lease_id: LEASE })
    expect(await inUse('shared', 'of a gadget', 'alone', 'unknown')).toEqual(new Set(['shared', 'of a gadget']))
  })

  it('is in use by a row whose own removal is not in the same hands', async () => {
    const { tracking } = databases
    await synced('1', { blob_key: 'shared', removal_requested_at: tracking.fn.now() })
    expect(await inUse('shared')).toEqual(new Set(['shared']))
    await tracking('widget_registry').update({ lease_id: LEASE })
    expect(await inUse('shared')).toEqual(new Set())
  })
})
