import { afterAll, beforeAll, expect, it } from 'vitest'
import { defineReplicable } from '../../lib/blob/replicable.ts'
import { localDisk } from '../../lib/index.ts'
import { reconcilePage } from '../../lib/registry/reconcile.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'

const ROWS = 1_000_000

const widgets = defineReplicable<{ file_path: string | null }>({
  name: 'widget',
  table: 'widgets',
  verificationState: 'separate',
  store: localDisk({ root: '/nonexistent' }),
  blob: (row) => row.file_path,
})

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases?.destroy())

async function pass(): Promise<{ pages: number; added: number; removed: number }> {
  const total = { pages: 0, added: 0, removed: 0 }
  for (let after: string | null = null, more = true; more; total.pages += 1) {
    const page = await reconcilePage(databases.standby, databases.tracking, widgets, after, null)
    total.added += page.added
    total.removed += page.removed
    after = page.next
    more = after !== null
  }
  return total
}

it('A pass over a million rows adds each once, the next one nothing, and finds what has gone', async () => {
  const { main, tracking } = databases
  await main.raw(`insert into widgets (name, file_path) select 'w', 'f' || n from generate_series(1, ${ROWS}) n`)
  await databases.caughtUp()
  expect(await pass()).toEqual({ pages: ROWS / 10_000 + 1, added: ROWS, removed: 0 })
  expect(await pass()).toEqual({ pages: ROWS / 10_000 + 1, added: 0, removed: 0 })
  await main.raw('delete from widgets where id % 1000 = 0')
  await databases.caughtUp()
  expect(await pass()).toMatchObject({ added: 0, removed: ROWS / 1000 })
  const { rows } = await tracking.raw(
    'select count(*)::int as rows, count(distinct widget_id)::int as records from widget_registry',
  )
  expect(rows[0]).toEqual({ rows: ROWS, records: ROWS })
})
