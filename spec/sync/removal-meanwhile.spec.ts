import { access, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { noteStrayFiles, takeOverRows } from '../../lib/registry/marks.ts'
import { requestRemoval } from '../../lib/registry/removal.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { addRegistryRow, registeredIds } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

let paris: SecondarySite
/** Called when a file is about to go. */
let beforeFile: () => Promise<unknown> = async () => undefined

beforeAll(async () => {
  paris = await createSecondarySite({
    declare(root) {
      const { store, widgets, gadgets } = declareReplicables(root)
      const remove = async (key: string) => {
        await beforeFile()
        return store.remove(key)
      }
      const told = { ...store, remove }
      return [Object.freeze({ ...widgets, store: told }), gadgets]
    },
  })
})
afterAll(() => paris.close())

/** A copy that replaced an earlier one, whose file is to go. */
beforeEach(async () => {
  beforeFile = async () => undefined
  const { root, widgets, databases } = paris
  await databases.tracking('widget_registry').delete()
  const copy = { state: SYNC_STATE.synced, blob_key: 'file', superseded_keys: ['earlier'] }
  await addRegistryRow(databases.tracking, widgets, '1', copy)
  await Promise.all(['file', 'earlier', 'stray'].map((name) => writeFile(join(root, name), name)))
})

const removal = () => paris.assembly.sources.remove
const files = async () => (await readdir(paris.root)).filter((name) => !name.startsWith('.geo-')).sort()

/** Removes what is to go, and lets something happen between the claim and the work. */
async function removeWhile(meanwhile?: () => Promise<unknown>): Promise<void> {
  const batch = await removal().claim()
  if (!batch) throw new Error('There is nothing to remove')
  await meanwhile?.()
  await removal().work(batch)
}

describe('While the earlier file of a row is removed', () => {
  it('a removal of the row itself waits for the next batch, and takes the file with it', async () => {
    const { tracking } = paris.databases
    await removeWhile(() => requestRemoval(tracking, paris.widgets, ['1']))
    expect(await files()).toEqual(['file', 'stray'])
    expect(await registeredIds(tracking, paris.widgets)).toEqual(['1'])

    await removeWhile()
    await expect(access(join(paris.root, 'file'))).rejects.toThrow('ENOENT')
    expect(await registeredIds(tracking, paris.widgets)).toEqual([])
  })

  it.each([
    ['the row stays', ['file']],
    ['the row goes as well', []],
  ])('another file that is noted for removal stays noted, where %s', async (_, left) => {
    const { tracking } = paris.databases
    if (left.length === 0) await requestRemoval(tracking, paris.widgets, ['1'])
    await removeWhile(() =>
      tracking.transaction((trx) => noteStrayFiles(trx, paris.widgets, [{ id: '1', key: 'stray' }])),
    )
    expect(await files()).toEqual([...left, 'stray'])

    await removeWhile()
    expect(await files()).toEqual(left)
    expect(await removal().claim()).toBeNull()
  })
})

describe('The earlier file of a row that could not be removed', () => {
  const row = () => paris.databases.tracking('widget_registry').first('last_sync_failure', 'error_code', 'state')

  async function fail(): Promise<void> {
    beforeFile = async () => {
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })
    }
    await removeWhile()
    beforeFile = async () => undefined
    await paris.databases.tracking('widget_registry').update({ removal_retry_at: null })
  }

  it('is the failure of the row until it is gone', async () => {
    await fail()
    const last_sync_failure = 'Could not remove file: EIO: i/o error, fsync (earlier)'
    expect(await row()).toEqual({ state: SYNC_STATE.synced, error_code: 'STORAGE_ERROR', last_sync_failure })
    await removeWhile()
    expect(await files()).toEqual(['file', 'stray'])
    expect(await row()).toEqual({ state: SYNC_STATE.synced, error_code: null, last_sync_failure: null })
  })

  it('takes no failure with it that the row has had since', async () => {
    await fail()
    const since = { error_code: 'CHECKSUM_MISMATCH', last_sync_failure: 'The bytes are others' }
    await paris.databases.tracking('widget_registry').update(since)
    await removeWhile()
    expect(await row()).toMatchObject(since)
  })

  it('does not take the place of another failure of a row that stays, nor its code', async () => {
    const before = {
      state: SYNC_STATE.failed,
      error_code: 'FILE_NOT_FOUND',
      last_sync_failure: 'The file is not there',
    }
    await paris.databases.tracking('widget_registry').update(before)
    await fail()
    expect(await row()).toEqual(before)
    await removeWhile()
    expect(await row()).toEqual(before)
    expect(await files()).toEqual(['file', 'stray'])
  })

  it('is no earlier cause of what is lost with its process since', async () => {
    await fail()
    const { tracking } = paris.databases
    await tracking('widget_registry').update({ state: SYNC_STATE.started, lease_id: 1 })
    await tracking.transaction((trx) => takeOverRows(trx, paris.widgets, '1', ['1'], 60))
    expect(await row()).toMatchObject({ state: SYNC_STATE.failed, error_code: 'WORKER_LOST' })
  })
})

describe('A removal that is not alone any more', () => {
  // A lease of the one before would count.
  beforeEach(async () => {
    await paris.databases.tracking('geo_leases').delete()
    const { root, widgets, databases } = paris
    await addRegistryRow(databases.tracking, widgets, '2', { state: SYNC_STATE.synced, blob_key: 'second' })
    await writeFile(join(root, 'second'), 'second')
    await requestRemoval(databases.tracking, widgets, ['1', '2'])
  })

  it('removes no other file once the server has ended its session, and all of them at the next try', async () => {
    const { tracking } = paris.databases
    // As the server does where a process is stopped for too long in the midst of it.
    beforeFile = () =>
      tracking.raw(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and state = 'idle in transaction'`,
      )
    await expect(removeWhile()).rejects.toThrow()
    expect(await files()).toEqual(['file', 'second', 'stray'])

    beforeFile = async () => undefined
    await tracking('geo_leases').delete()
    await removeWhile()
    expect(await files()).toEqual(['stray'])
    expect(await registeredIds(tracking, paris.widgets)).toEqual([])
  })

  it('removes no other file once its lease is over, and all of them at the next try', async () => {
    const { tracking } = paris.databases
    const batch = await removal().claim()
    if (!batch) throw new Error('There is nothing to remove')
    // On this process's own clock: it was stopped for longer than a lease lives.
    beforeFile = async () => void Atomics.store(batch.lease.endsAt, 0, 0n)
    await expect(removal().work(batch)).rejects.toMatchObject({ code: 'LEASE_LOST' })
    expect(await files()).toEqual(['file', 'second', 'stray'])

    beforeFile = async () => undefined
    await tracking('geo_leases').delete()
    await removeWhile()
    expect(await files()).toEqual(['stray'])
  })
})

describe('A removal whose files are slow to go', () => {
  beforeEach(async () => {
    const { root, widgets, databases, clock } = paris
    await databases.tracking('geo_leases').delete()
    for (const [id, blob_key] of [
      ['2', 'shared'],
      ['3', 'shared'],
      ['4', 'last'],
    ] as const) {
      await addRegistryRow(databases.tracking, widgets, id, { state: SYNC_STATE.synced, blob_key })
      await writeFile(join(root, blob_key), blob_key)
    }
    await requestRemoval(databases.tracking, widgets, ['1', '2', '3', '4'])
    beforeFile = async () => clock.advance(1001)
  })

  it('lets others store copies after a second, but leaves no row behind whose file it has taken', async () => {
    const { tracking } = paris.databases
    await removeWhile()
    expect(await registeredIds(tracking, paris.widgets)).toEqual(['2', '3', '4'])
    expect(await files()).toEqual(['last', 'shared', 'stray'])
    await removeWhile()
    expect(await registeredIds(tracking, paris.widgets)).toEqual(['4'])
    expect(await files()).toEqual(['last', 'stray'])
    await removeWhile()
    expect(await registeredIds(tracking, paris.widgets)).toEqual([])
    expect(await removal().claim()).toBeNull()
  })
})
