import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { CORRUPT_PREFIX, stateTableOf } from '../../lib/blob/primary-checksum.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import type { BulkRun } from '../../lib/bulk/bulk-run.ts'
import type { BulkRequest } from '../../lib/bulk/request.ts'
import { walkRange } from '../../lib/key-walk.ts'
import { reverifyPrimaryWalk, type StateFilter } from '../../lib/verification/bulk.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { type BulkSite, openBulkSite } from '../support/bulk-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, addSites, secondsFromNow, untyped } from '../support/fixture-rows.ts'

const declared = declareReplicables('unused')
const CHECKSUM = Buffer.of(1, 2, 3)

let databases: SpecDatabases
let rome: BulkSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  await addSites(databases.main, 'paris')
  rome = openBulkSite(databases, 'rome')
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets', 'geo_bulk_runs']) await databases.main(table).delete()
  rome.woken.splice(0)
})

async function run(request: BulkRequest): Promise<BulkRun> {
  const { id } = await rome.bulk.start(request)
  await rome.work()
  return rome.bulk.get(id)
}

describe.each([
  { state: 'a table beside', replicable: untyped(declared.widgets) },
  { state: 'columns of the host', replicable: untyped(declared.gadgets) },
])('Bulk reverify on the primary, with its state in $state', ({ replicable }) => {
  const { table, key } = stateTableOf(replicable)

  async function addState(columns: Record<string, unknown>, filePath: string | null = 'a/b'): Promise<string> {
    const id = await addHostRow(databases.main, replicable as Replicable, { filePath })
    const state = { verification_checksum: CHECKSUM, ...columns }
    if (replicable.verificationState === 'columns') await databases.main(table).where(key, id).update(state)
    else await databases.main(table).insert({ [key]: id, ...state })
    return id
  }
  const stateOf = (id: string) => databases.main(table).where(key, id).first()
  const later = () => secondsFromNow(databases.main, 3600)

  it('has every file hashed again, without waiting for retries, and keeps every checksum', async () => {
    const succeeded = await addState({ verification_state: V.succeeded, verified_at: databases.main.fn.now() })
    const failed = await addState({
      verification_state: V.failed,
      verification_failure: 'it was away',
      verification_retry_count: 8,
      verification_retry_at: later(),
    })
    await addState({ verification_state: V.pending })
    expect(await run({ action: 'reverify', type: replicable.name })).toMatchObject({
      state: 'finished',
      examined: 3,
      changed: 2,
      doneFraction: 1,
    })
    for (const id of [succeeded, failed]) {
      expect(await stateOf(id)).toMatchObject({
        verification_state: V.pending,
        verification_checksum: CHECKSUM,
        verification_retry_count: 0,
        verification_retry_at: null,
        verification_failure: null,
      })
    }
    expect(rome.woken).toEqual(['reverify'])
  })

  it('does not forget which blobs are corrupt until they are found to be right', async () => {
    const verification_failure = `${CORRUPT_PREFIX}: as it was`
    const corrupt = await addState({ verification_state: V.failed, verification_failure, verification_retry_count: 3 })
    await run({ action: 'reverify', type: replicable.name })
    expect(await stateOf(corrupt)).toMatchObject({ verification_state: V.pending, verification_failure })
  })

  it('takes only the state or the keys of its filter, and changes nothing in a dry run', async () => {
    const succeeded = await addState({ verification_state: V.succeeded })
    const failed = await addState({ verification_state: V.failed, verification_failure: 'x' })
    const request = { action: 'reverify', type: replicable.name, filter: { verificationState: 'failed' } } as const
    expect(await run({ ...request, dryRun: true })).toMatchObject({ examined: 2, changed: 1 })
    expect(await stateOf(failed)).toMatchObject({ verification_state: V.failed })
    expect(await run(request)).toMatchObject({ changed: 1 })
    expect(await stateOf(failed)).toMatchObject({ verification_state: V.pending })
    expect(await stateOf(succeeded)).toMatchObject({ verification_state: V.succeeded })
    expect(await run({ ...request, filter: { ids: [succeeded] } })).toMatchObject({ examined: 1, changed: 1 })
    expect(await stateOf(succeeded)).toMatchObject({ verification_state: V.pending })
  })

  it('goes from page to page in the order of the keys', async () => {
    const { main } = databases
    await main.raw(`insert into ?? (name, file_path) select 'x', 'a/b' from generate_series(1, 1200)`, [
      replicable.table,
    ])
    if (replicable.verificationState === 'separate') {
      await main.raw('insert into ?? (??) select id from ??', [table, key, replicable.table])
    }
    await main(table).update({ verification_state: V.succeeded })
    const { id } = await rome.bulk.start({ action: 'reverify', type: replicable.name })
    await rome.page()
    const first = await rome.bulk.get(id)
    expect(first).toMatchObject({ state: 'running', examined: 500 })
    expect(first.doneFraction).toBeGreaterThan(0.3)
    expect(first.doneFraction).toBeLessThan(0.55)
    await rome.work()
    expect(await rome.bulk.get(id)).toMatchObject({ state: 'finished', examined: 1200, changed: 1200 })
  })

  it('does not look at records without a file', async () => {
    if (replicable.verificationState === 'columns') await addState({ verification_state: V.succeeded }, null)
    expect(await run({ action: 'reverify', type: replicable.name })).toMatchObject({ state: 'finished', examined: 0 })
  })
})

it('An "or" among the host’s conditions of availability lets no record in that a filter or a page leaves out', async () => {
  const orNamed = (query: Knex.QueryBuilder) => query.whereNotNull('file_path').orWhere('name', 'fixture')
  const gadgets = Object.freeze({ ...untyped(declared.gadgets), available: orNamed })
  const { main } = databases
  const ids = [await addHostRow(main, gadgets), await addHostRow(main, gadgets, { filePath: null })]
  await main('gadgets').insert({ name: 'another', file_path: null })
  await main('gadgets').update({ verification_state: V.succeeded })
  const states = async () => {
    const rows = await main('gadgets').where('verification_state', V.pending)
    return rows.map((row) => String(row.id)).sort()
  }
  const [low = '', high = ''] = ids.sort()
  const walked = (filter: StateFilter, range: { after: string | null; upTo: string }) =>
    main.transaction((trx) => walkRange(trx, reverifyPrimaryWalk(gadgets, filter), { ...range, limit: 10 }, false))
  expect(await walked({}, { after: null, upTo: low })).toMatchObject({ examined: 1, changed: 1 })
  expect(await states()).toEqual([low])
  expect(await walked({ ids: [high] }, { after: null, upTo: high })).toMatchObject({ examined: 1, changed: 1 })
  expect(await states()).toEqual([low, high])
})

it.each<[string, BulkRequest]>([
  ['to fetch again', { action: 'resync', type: 'widget' }],
  ['what failed to sync', { action: 'reverify', type: 'widget', filter: { syncState: 'failed' } }],
  ['what failed with a code', { action: 'reverify', type: 'widget', filter: { errorCode: 'STORAGE_FULL' } }],
])('The primary is not asked %s', async (_, request) => {
  await expect(rome.bulk.start(request)).rejects.toMatchObject({ code: 'NOT_SECONDARY' })
})

it('A site that is not registered starts nothing', async () => {
  const nowhere = openBulkSite(databases, 'nowhere')
  await expect(nowhere.bulk.start({ action: 'reverify', type: 'widget' })).rejects.toMatchObject({
    code: 'SITE_UNKNOWN',
  })
})
