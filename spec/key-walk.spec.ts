import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { type KeyWalk, keyBounds, walkKeys, walkRange } from '../lib/key-walk.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addRegistryRow, untyped } from './support/fixture-rows.ts'

const widgets = untyped(declareReplicables('unused').widgets)
const walk: KeyWalk = {
  table: 'widget_registry',
  key: 'widget_id',
  keyType: 'bigint',
  rows: (db) => db('widget_registry'),
  wanted: { sql: 'retry_count > ?', bindings: [0] },
  changes: 'retry_count = retry_count + 100',
}

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  await databases.tracking('widget_registry').delete()
  const counts = { '9': 1, '10': 0, '11': 1, '100': 1 }
  for (const [id, retry_count] of Object.entries(counts)) {
    await addRegistryRow(databases.tracking, widgets, id, { retry_count })
  }
})

const counts = () => databases.tracking('widget_registry').orderBy('widget_id').pluck('retry_count')
const range = (from: KeyWalk, after: string | null, upTo: string, limit: number, dryRun = false) =>
  databases.tracking.transaction((trx) => walkRange(trx, from, { after, upTo, limit }, dryRun))

it('The bounds are those of the keys, not of their texts', async () => {
  expect(await keyBounds(databases.tracking, walk)).toEqual({ first: '9', last: '100' })
  await databases.tracking('widget_registry').delete()
  expect(await keyBounds(databases.tracking, walk)).toEqual({ first: null, last: null })
})

it('A walk goes in the order of the keys, changes what is wanted and counts what it saw', async () => {
  expect(await range(walk, null, '100', 2)).toEqual({ last: '10', examined: 2, changed: 1, busy: [] })
  expect(await range(walk, '10', '99', 2)).toEqual({ last: '11', examined: 1, changed: 1, busy: [] })
  expect(await range(walk, '11', '99', 2)).toEqual({ last: null, examined: 0, changed: 0, busy: [] })
  expect(await counts()).toEqual([101, 0, 101, 1])
})

it('A dry one counts alike and changes nothing', async () => {
  expect(await range(walk, null, '100', 3, true)).toEqual({ last: '11', examined: 3, changed: 2, busy: [] })
  expect(await counts()).toEqual([1, 0, 1, 1])
})

it('Keys that are named are walked by themselves', async () => {
  const walked = await databases.tracking.transaction((trx) => walkKeys(trx, walk, ['10', '100', '404'], false))
  expect(walked).toEqual({ last: '100', examined: 2, changed: 1, busy: [] })
})

it('A row that changes after it was looked at is judged again as it is then', async () => {
  const { tracking } = databases
  // Slow to judge, so that another commits in between.
  const slow = { ...walk, wanted: { sql: '(select pg_sleep(0.4)) is not null and retry_count > ?', bindings: [0] } }
  const walking = range(slow, null, '100', 10)
  await tracking.raw('select pg_sleep(0.2)')
  await tracking('widget_registry').where('widget_id', 11).update({ retry_count: 0 })
  expect(await walking).toMatchObject({ examined: 4, changed: 2, busy: ['11'] })
  expect(await counts()).toEqual([101, 0, 0, 101])
})
