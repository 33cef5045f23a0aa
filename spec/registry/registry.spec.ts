import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { insertPending, resyncRecords } from '../../lib/registry/registry.ts'
import { SYNC_STATE, type SyncState } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, registeredIds, registryRow, secondsFromNow, untyped } from '../support/fixture-rows.ts'

const widgets = untyped(declareReplicables('unused').widgets)

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(() => databases.tracking('widget_registry').delete())

describe('insertPending', () => {
  it('leaves one row per record under concurrent inserts, and counts each once', async () => {
    const { tracking } = databases
    const ids = Array.from({ length: 500 }, (_, n) => String(n - 100))
    const added = await Promise.all(
      Array.from({ length: 10 }, (_, n) => insertPending(tracking, widgets, n % 2 ? ids : ids.slice(250))),
    )
    expect(added.reduce((sum, { added }) => sum + added, 0)).toBe(500)
    expect(await registeredIds(tracking, widgets)).toEqual(ids)
  })

  it('does not touch a row that is there', async () => {
    const { tracking } = databases
    await addRegistryRow(tracking, widgets, '7', { state: SYNC_STATE.failed, retry_count: 2 })
    expect(await insertPending(tracking, widgets, ['7'])).toMatchObject({ added: 0 })
    expect(await registryRow(tracking, widgets, '7')).toMatchObject({ state: SYNC_STATE.failed, retry_count: 2 })
  })

  it('makes a row that waits as backfill new', async () => {
    const { tracking } = databases
    await addRegistryRow(tracking, widgets, '7', { backfill: true })
    expect(await insertPending(tracking, widgets, ['7'])).toMatchObject({ added: 0 })
    expect(await registryRow(tracking, widgets, '7')).toMatchObject({ state: SYNC_STATE.pending, backfill: false })
  })

  it('takes back a removal, and has the record fetched again', async () => {
    const { tracking } = databases
    const removed = { removal_requested_at: tracking.fn.now(), removal_retry_at: tracking.fn.now() }
    await addRegistryRow(tracking, widgets, '7', { ...removed, state: SYNC_STATE.synced, blob_key: 'kept' })
    await insertPending(tracking, widgets, ['7'])
    expect(await registryRow(tracking, widgets, '7')).toMatchObject({
      removal_requested_at: null,
      removal_retry_at: null,
      state: SYNC_STATE.pending,
      blob_key: 'kept',
    })
  })
})

describe('resyncRecords', () => {
  it.each(Object.keys(SYNC_STATE) as SyncState[])(
    'puts a row that is %s to pending and new, its lease untouched',
    async (state) => {
      const { tracking } = databases
      await addRegistryRow(tracking, widgets, '7', {
        state: SYNC_STATE[state],
        retry_count: 5,
        retry_at: secondsFromNow(tracking, 60),
        last_sync_failure: 'as it was',
        lease_id: '3',
        verification_state: VERIFICATION_STATE.succeeded,
        backfill: true,
      })
      expect(await resyncRecords(tracking, widgets, ['7', '8'])).toEqual([
        { id: '7', registryId: expect.any(String), from: state },
      ])
      expect(await registryRow(tracking, widgets, '7')).toMatchObject({
        state: SYNC_STATE.pending,
        retry_count: 0,
        retry_at: null,
        last_sync_failure: 'as it was',
        lease_id: '3',
        verification_state: VERIFICATION_STATE.disabled,
        backfill: false,
      })
    },
  )

  it('does nothing for no records', async () => {
    expect(await resyncRecords(databases.tracking, widgets, [])).toEqual([])
  })
})
