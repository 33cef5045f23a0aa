import { afterAll, beforeAll, expect, it } from 'vitest'
import { defineReplicable, localDisk } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { addHostRow, registryRow } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

let site: SecondarySite

beforeAll(async () => {
  site = await createSecondarySite({
    declare: (root) => {
      const common = { store: localDisk({ root }), blob: (row: { file_path: string | null }) => row.file_path }
      return [
        defineReplicable({ name: 'widget', table: 'widgets', verificationState: 'separate', ...common }),
        defineReplicable({
          name: 'gadget',
          table: 'gadgets',
          keyType: 'uuid',
          verificationState: 'columns',
          ...common,
        }),
      ]
    },
  })
})
afterAll(() => site.close())

it('A row that names no file, of a type that calls it available, fails as one whose file is missing, and does not loop', async () => {
  const { tracking } = site.databases
  const id = await addHostRow(site.databases.main, site.widgets, { filePath: null })
  await site.run('reconcile')
  const batch = await site.assembly.sources.sync.claim()
  if (!batch) throw new Error('Nothing was claimed')
  await site.assembly.sources.sync.work(batch)
  expect(await registryRow(tracking, site.widgets, id)).toMatchObject({
    state: SYNC_STATE.failed,
    retry_count: 1,
    error_code: 'FILE_NOT_FOUND',
    last_sync_failure: 'The file is missing on the Geo primary site',
    removal_requested_at: null,
  })
  expect(await site.assembly.sources.sync.claim()).toBeNull()
  expect(await site.assembly.sources.remove.claim()).toBeNull()
})
