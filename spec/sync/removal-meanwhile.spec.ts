import { access, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { noteStrayFiles } from '../../lib/registry/marks.ts'
import { requestRemoval } from '../../lib/registry/removal.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { addRegistryRow, registeredIds } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

let paris: SecondarySite

beforeAll(async () => {
  paris = await createSecondarySite()
})
afterAll(() => paris.close())

/** A copy that replaced an earlier one, whose file is to go. */
beforeEach(async () => {
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
