import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import { requestRemoval } from '../../lib/registry/removal.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { addRegistryRow } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

let paris: SecondarySite

beforeAll(async () => {
  paris = await createSecondarySite()
})
afterAll(() => paris.close())

it('A file is not removed from a disk that took the place of the store a moment ago', async () => {
  const { root, widgets, assembly } = paris
  const { tracking } = paris.databases
  await addRegistryRow(tracking, widgets, '1', { state: SYNC_STATE.synced, blob_key: 'file' })
  await writeFile(join(root, 'file'), 'bytes')
  await addRegistryRow(tracking, widgets, '2', {})
  // What this job sees others go by for a second: all is well.
  expect(await assembly.sources.sync.claim()).not.toBeNull()
  await requestRemoval(tracking, widgets, ['1'])
  const marker = join(root, MARKER_NAME)

  await rename(marker, `${marker}.away`)
  expect(await assembly.sources.remove.claim()).toBeNull()
  expect(await readFile(join(root, 'file'), 'utf8')).toBe('bytes')

  await rename(`${marker}.away`, marker)
  expect(await assembly.sources.remove.claim()).not.toBeNull()
})
