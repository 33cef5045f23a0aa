import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { UnnamedRows } from '../../lib/blob/unnamed-rows.ts'
import { foundOf, reconcilePage } from '../../lib/registry/reconcile.ts'
import { loadReconciliations } from '../../lib/registry/reconciliation-table.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { fillBehindStatistics } from '../support/empty-statistics.ts'
import { addHostRow, addRegistryRow, registeredIds, registryRow, untyped } from '../support/fixture-rows.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets']) await databases.main(table).delete()
  for (const table of ['widget_registry', 'gadget_registry']) await databases.tracking(table).delete()
})

interface Page {
  readonly next: string | null
  readonly added: number
  readonly removed: number
}

async function wholePass(replicable: Replicable): Promise<Page[]> {
  await databases.caughtUp()
  const pages: Page[] = []
  for (let after: string | null = null; ; ) {
    const { tracking, standby: replica } = databases
    const { now: asOf } = await loadReconciliations(tracking)
    const query = { after, selection: null, asOf, unnamed: new UnnamedRows() }
    const { next, found } = await reconcilePage({ replica, tracking }, replicable, query)
    pages.push({
      next,
      added: foundOf(found, 'row_without_registry'),
      removed: foundOf(found, 'registry_without_row'),
    })
    if (next === null) return pages
    after = next
  }
}

async function toBeRemoved({ names }: Replicable): Promise<string[]> {
  const rows = await databases
    .tracking(names.registryTable)
    .whereNotNull('removal_requested_at')
    .orderBy(names.foreignKey)
  return rows.map((row) => row[names.foreignKey])
}

describe.each([
  {
    keys: 'bigint',
    replicable: widgets,
    ids: ['-9223372036854775808', '-5', '3', '40000', '9223372036854775807'],
    unused: ['-77', '4', '9000000000000000000'],
  },
  {
    keys: 'uuid',
    replicable: gadgets,
    ids: [
      '00000000-0000-4000-8000-000000000000',
      '7b0c0000-0000-4000-8000-00000000ffff',
      'ffffffff-ffff-4fff-bfff-ffffffffffff',
    ],
    unused: ['00000000-0000-4000-8000-000000000001', 'ffffffff-ffff-4fff-bfff-fffffffffffe'],
  },
])('With $keys keys, sparse as they may be', ({ replicable, ids, unused }) => {
  it('rows without a registry row get one, and registry rows without a row are to go', async () => {
    const { main, tracking } = databases
    for (const id of ids) await addHostRow(main, replicable, { id })
    const [known] = ids
    for (const id of [String(known), ...unused]) {
      await addRegistryRow(tracking, replicable, id, { state: SYNC_STATE.synced, blob_key: 'some/file' })
    }
    expect(await wholePass(replicable)).toEqual([{ next: null, added: ids.length - 1, removed: unused.length }])
    expect((await registeredIds(tracking, replicable)).sort()).toEqual([...ids, ...unused].sort())
    expect((await toBeRemoved(replicable)).sort()).toEqual([...unused].sort())
    expect(await registryRow(tracking, replicable, String(known))).toMatchObject({ state: SYNC_STATE.synced })
    expect(await wholePass(replicable)).toEqual([{ next: null, added: 0, removed: 0 }])
  })

  it('a row that lost its file goes, and comes back pending with it', async () => {
    const { main, tracking } = databases
    const [id] = ids
    const key = await addHostRow(main, replicable, { id: String(id), filePath: null })
    await addRegistryRow(tracking, replicable, key, { state: SYNC_STATE.synced })
    expect(await wholePass(replicable)).toEqual([{ next: null, added: 0, removed: 1 }])
    await main(replicable.table).update({ file_path: 'again' })
    await wholePass(replicable)
    expect(await registryRow(tracking, replicable, key)).toMatchObject({
      removal_requested_at: null,
      state: SYNC_STATE.pending,
    })
  })
})

describe('Page by page', () => {
  it('every row of a large table is found, and what lies between and beyond them goes', async () => {
    const { main, tracking } = databases
    await main.raw(
      `insert into widgets (id, name, file_path) select n * 3 - 12000, 'w', 'f' from generate_series(1, 20500) n`,
    )
    for (const id of ['-12000', '-11996', '10', '18001', '99999']) await addRegistryRow(tracking, widgets, id)
    const pages = await wholePass(widgets)
    expect(pages).toEqual([
      { next: '18000', added: 10_000, removed: 3 },
      { next: '48000', added: 10_000, removed: 1 },
      { next: null, added: 500, removed: 1 },
    ])
    expect(await toBeRemoved(widgets)).toEqual(['-12000', '-11996', '10', '18001', '99999'])
  })

  it('a table whose last page is full ends with an empty one', async () => {
    const { main, tracking } = databases
    await main.raw(
      `insert into gadgets (id, name, file_path)
       select ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'g', 'f' from generate_series(1, 10000) n`,
    )
    await addRegistryRow(tracking, gadgets, 'ffffffff-0000-4000-8000-000000000000')
    expect(await wholePass(gadgets)).toEqual([
      { next: '00000000-0000-4000-8000-000000002710', added: 10_000, removed: 0 },
      { next: null, added: 0, removed: 1 },
    ])
  })

  it('an empty table leaves no registry row, however many there were', async () => {
    const { tracking } = databases
    await tracking.raw(
      'insert into widget_registry (widget_id, created_at) select n, now() from generate_series(1, 20001) n',
    )
    expect(await wholePass(widgets)).toEqual([{ next: null, added: 0, removed: 20_001 }])
  })

  it('a registry that was empty when its statistics were gathered takes no longer', async () => {
    const { tracking } = databases
    const rows = 'insert into widget_registry (widget_id, created_at) select n, now() from generate_series(1, 20001) n'
    await fillBehindStatistics(tracking, 'widget_registry', rows)
    expect(await wholePass(widgets)).toEqual([{ next: null, added: 0, removed: 20_001 }])
  })
})

it('A row whose removal is under way is not asked to go twice', async () => {
  const { tracking } = databases
  await addRegistryRow(tracking, gadgets, randomUUID(), { removal_requested_at: tracking.fn.now(), lease_id: '5' })
  expect(await wholePass(gadgets)).toEqual([{ next: null, added: 0, removed: 0 }])
})
