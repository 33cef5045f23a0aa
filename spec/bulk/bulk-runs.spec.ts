import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import type { BulkRun } from '../../lib/bulk/bulk-run.ts'
import type { BulkFilter } from '../../lib/bulk/request.ts'
import { workPage } from '../../lib/bulk/work-page.ts'
import { markSynced } from '../../lib/registry/marks.ts'
import { insertPending } from '../../lib/registry/registry.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { databaseUrl, withClient } from '../../lib/testing/postgres/database-server.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { type BulkSite, openBulkSite } from '../support/bulk-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import {
  addRegistryRow,
  addSites,
  registryRow,
  registryRows,
  secondsFromNow,
  untyped,
} from '../support/fixture-rows.ts'
import { until } from '../support/until.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)
const MANY = 2600

let databases: SpecDatabases
let paris: BulkSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  await addSites(databases.main, 'paris')
  paris = openBulkSite(databases, 'paris')
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const table of ['widget_registry', 'gadget_registry', 'geo_bulk_runs']) await databases.tracking(table).delete()
  paris.woken.splice(0)
})

const failedRow = {
  state: SYNC_STATE.failed,
  retry_count: 7,
  last_sync_failure: 'Verification failed with: as it was',
  error_code: 'VERIFICATION_MISMATCH',
  verification_state: VERIFICATION_STATE.failed,
  verification_failure: 'as it was',
  verification_retry_count: 7,
  checksum_mismatch: true,
  verification_checksum_mismatched: Buffer.of(1, 2),
  verification_checksum: Buffer.of(1, 3),
  blob_key: 'a/b',
}

/** One row of every kind, by the keys 1 to 8. */
async function addKinds(): Promise<void> {
  const { tracking } = databases
  const later = { retry_at: secondsFromNow(tracking, 3600), verification_retry_at: secondsFromNow(tracking, 3600) }
  const { succeeded, disabled, pending, started, failed } = VERIFICATION_STATE
  const synced = { state: SYNC_STATE.synced, blob_key: 'a/b' }
  await addRegistryRow(tracking, widgets, '1', { state: SYNC_STATE.pending, verification_state: disabled })
  await addRegistryRow(tracking, widgets, '2', {
    state: SYNC_STATE.started,
    lease_id: '9',
    verification_state: disabled,
  })
  await addRegistryRow(tracking, widgets, '3', { ...synced, verification_state: succeeded })
  await addRegistryRow(tracking, widgets, '4', { ...synced, verification_state: pending })
  await addRegistryRow(tracking, widgets, '5', { ...synced, verification_state: started })
  await addRegistryRow(tracking, widgets, '6', {
    ...synced,
    ...later,
    verification_state: failed,
    verification_retry_count: 3,
  })
  await addRegistryRow(tracking, widgets, '7', { ...failedRow, ...later })
  await addRegistryRow(tracking, widgets, '8', {
    ...failedRow,
    error_code: 'STORAGE_FULL',
    verification_state: disabled,
  })
  await addRegistryRow(tracking, widgets, '9', { ...failedRow, removal_requested_at: tracking.fn.now() })
}

async function addSynced(count: number): Promise<void> {
  await databases.tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, verification_state)
     select n, now(), ${SYNC_STATE.synced}, ${VERIFICATION_STATE.succeeded} from generate_series(1, ${count}) n`,
  )
}

const finish = async (run: BulkRun): Promise<BulkRun> => {
  await paris.work()
  return paris.bulk.get(run.id)
}
const resync = async (filter: BulkFilter = {}) =>
  finish(await paris.bulk.start({ action: 'resync', type: declared.widgets, filter }))
const reverify = async (filter: BulkFilter = {}) =>
  finish(await paris.bulk.start({ action: 'reverify', type: 'widget', filter }))

async function changedIds(run: () => Promise<BulkRun>): Promise<{ ids: string[]; run: BulkRun }> {
  const before = new Map((await registryRows(databases.tracking, widgets)).map((row) => [row['widget_id'], row]))
  const done = await run()
  const after = await registryRows(databases.tracking, widgets)
  const changed = after.filter((row) => JSON.stringify(row) !== JSON.stringify(before.get(row['widget_id'])))
  return { ids: changed.map((row) => String(row['widget_id'])), run: done }
}

describe('Bulk resync', () => {
  it('of all puts every row that is not pending to be fetched again, and says how many', async () => {
    await addKinds()
    const { ids, run } = await changedIds(() => resync())
    expect(ids).toEqual(['2', '3', '4', '5', '6', '7', '8'])
    expect(run).toMatchObject({ state: 'finished', examined: 9, changed: 7, doneFraction: 1, failure: null })
    expect(run.startedAt).toBeInstanceOf(Date)
    expect(run.finishedAt).toBeInstanceOf(Date)
  })

  it('resets retry fields, failures and verification, keeps what is stored, and goes behind new rows', async () => {
    await addKinds()
    await resync()
    expect(await registryRow(databases.tracking, widgets, '7')).toMatchObject({
      state: SYNC_STATE.pending,
      retry_count: 0,
      retry_at: null,
      last_sync_failure: null,
      error_code: null,
      verification_state: VERIFICATION_STATE.disabled,
      verification_failure: null,
      verification_retry_count: 0,
      verification_retry_at: null,
      checksum_mismatch: false,
      verification_checksum_mismatched: null,
      verification_checksum: Buffer.of(1, 3),
      blob_key: 'a/b',
      backfill: true,
    })
  })

  it.each<[string, BulkFilter, string[]]>([
    ['all failed', { syncState: 'failed' }, ['7', '8']],
    ['a state of the sync', { syncState: 'started' }, ['2']],
    ['a state of the verification', { verificationState: 'failed' }, ['6', '7']],
    ['a code', { errorCode: 'STORAGE_FULL' }, ['8']],
    ['a list of keys', { ids: ['3', '8', '1', '404'] }, ['3', '8']],
    ['all of them together', { ids: ['3', '7', '8'], syncState: 'failed', errorCode: 'VERIFICATION_MISMATCH' }, ['7']],
    ['what no row fulfils', { syncState: 'failed', verificationState: 'succeeded' }, []],
  ])('by filter changes only rows of %s', async (_, filter, expected) => {
    await addKinds()
    const { ids, run } = await changedIds(() => resync(filter))
    expect(ids).toEqual(expected)
    expect(run).toMatchObject({ state: 'finished', changed: expected.length })
  })

  it('walks keys of a list in any type', async () => {
    const ids = ['00000000-0000-4000-8000-00000000000a', 'ffffffff-0000-4000-8000-00000000000b']
    for (const id of ids) await addRegistryRow(databases.tracking, gadgets, id, { state: SYNC_STATE.synced })
    const filter = { ids: [String(ids[1]).toUpperCase()] }
    expect(await finish(await paris.bulk.start({ action: 'resync', type: 'gadget', filter }))).toMatchObject({
      changed: 1,
    })
    expect(await registryRow(databases.tracking, gadgets, String(ids[0]))).toMatchObject({ state: SYNC_STATE.synced })
  })

  it('makes who works a row at this moment end in vain', async () => {
    const { tracking } = databases
    await addKinds()
    await resync()
    const copy = { id: '2', key: 'a/b', bytes: 3, verifiable: true, rowVersion: '1' }
    await tracking.transaction((trx) => markSynced(trx, widgets, '9', [copy]))
    expect(await registryRow(tracking, widgets, '2')).toMatchObject({ state: SYNC_STATE.pending, lease_id: '9' })
  })
})

describe('Bulk reverify', () => {
  it('of all has every synced copy hashed again, and resets its retries', async () => {
    await addKinds()
    const { ids, run } = await changedIds(() => reverify())
    expect(ids).toEqual(['3', '5', '6'])
    expect(run).toMatchObject({ state: 'finished', examined: 9, changed: 3 })
    expect(await registryRow(databases.tracking, widgets, '6')).toMatchObject({
      state: SYNC_STATE.synced,
      verification_state: VERIFICATION_STATE.pending,
      verification_retry_count: 0,
      verification_retry_at: null,
      backfill: false,
    })
  })

  it('by filter takes only those', async () => {
    await addKinds()
    const { ids } = await changedIds(() => reverify({ verificationState: 'failed' }))
    expect(ids).toEqual(['6'])
  })
})

describe('A bulk run', () => {
  it('that is dry counts and changes nothing', async () => {
    await addKinds()
    const start = () => paris.bulk.start({ action: 'resync', type: 'widget', dryRun: true, requestedBy: 'ann' })
    const { ids, run } = await changedIds(async () => finish(await start()))
    expect(ids).toEqual([])
    expect(run).toMatchObject({ dryRun: true, requestedBy: 'ann', state: 'finished', examined: 9, changed: 7 })
  })

  it('of one kind is there once at a time; what only counts stands in no way', async () => {
    const first = await paris.bulk.start({ action: 'resync', type: 'widget' })
    await expect(paris.bulk.start({ action: 'resync', type: 'widget' })).rejects.toMatchObject({
      code: 'BULK_RUN_ACTIVE',
      message: `Run ${first.id} (resync of widget) is active`,
    })
    const others = [
      await paris.bulk.start({ action: 'resync', type: 'widget', dryRun: true }),
      await paris.bulk.start({ action: 'reverify', type: 'widget' }),
      await paris.bulk.start({ action: 'resync', type: 'gadget' }),
    ]
    await paris.work()
    for (const { id } of [first, ...others]) expect(await paris.bulk.get(id)).toMatchObject({ state: 'finished' })
    await paris.bulk.start({ action: 'resync', type: 'widget' })
  })

  it('of which many are asked for at once begins once', async () => {
    const asked = Array.from({ length: 10 }, () => paris.bulk.start({ action: 'resync', type: 'widget' }))
    const outcomes = await Promise.allSettled(asked)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('says how far it is, and ends with the highest key of its start while rows arrive', async () => {
    await addSynced(MANY)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    expect(run).toMatchObject({ state: 'waiting', examined: 0, doneFraction: 0, startedAt: null })
    await insertPending(databases.tracking, widgets, ['90001', '90002'])
    expect(await paris.page()).toBe(true)
    const half = await paris.bulk.get(run.id)
    expect(half).toMatchObject({ state: 'running', examined: 500, changed: 500, finishedAt: null })
    expect(half.doneFraction).toBeCloseTo(499 / (MANY - 1), 4)
    expect(await finish(run)).toMatchObject({ state: 'finished', examined: MANY, changed: MANY, doneFraction: 1 })
  })

  it('that is cancelled stops between two pages and says so; what was done stays', async () => {
    await addSynced(MANY)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    await paris.page()
    expect(await paris.bulk.cancel(run.id)).toMatchObject({ state: 'cancelled', examined: 500, finishedAt: null })
    await paris.work()
    // Also where a process has chosen the run just before.
    expect(await workPage(databases.tracking, run.id, 'secondary', widgets)).toBeNull()
    const cancelled = await paris.bulk.cancel(run.id)
    expect(cancelled).toMatchObject({ state: 'cancelled', examined: 500, changed: 500 })
    expect(cancelled.cancelledAt).toBeInstanceOf(Date)
    expect(await databases.tracking('widget_registry').where('state', SYNC_STATE.pending)).toHaveLength(500)
    await paris.bulk.start({ action: 'resync', type: 'widget' })
  })

  it('looks again at rows that others had locked page by page, however many they were', async () => {
    await addSynced(35)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    const ids = await databases.tracking('widget_registry').orderBy('id').pluck('id')
    await databases.tracking('geo_bulk_runs').update({ walked: true, left_over: ids, page_size: 10 })
    const page = () => workPage(databases.tracking, run.id, 'secondary', widgets)
    expect(await page()).toEqual({ changed: 10, more: true })
    await databases.tracking.transaction(async (trx) => {
      await trx('widget_registry').whereIn('id', ids.slice(10)).forUpdate().select('id')
      expect(await page()).toEqual({ changed: 0, more: false })
    })
    while (await page());
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'finished', changed: 35 })
  })

  it('that has finished stays so when it is cancelled afterwards', async () => {
    await addSynced(3)
    const run = await resync()
    const { finishedAt } = await finish(run)
    expect(await paris.bulk.cancel(run.id)).toMatchObject({ state: 'finished', finishedAt, cancelledAt: null })
  })

  it('is listed with the others, the newest first, and forgotten 30 days after its end', async () => {
    const { tracking } = databases
    const done = await resync()
    const [second, third] = [await reverify(), await reverify({ syncState: 'synced' })]
    expect((await paris.bulk.list()).map(({ id }) => id)).toEqual([third.id, second.id, done.id])
    await tracking('geo_bulk_runs')
      .where('id', done.id)
      .update({ finished_at: secondsFromNow(tracking, -31 * 86_400) })
    await tracking('geo_bulk_runs')
      .where('id', second.id)
      .update({ finished_at: secondsFromNow(tracking, -29 * 86_400) })
    const fresh = await resync()
    expect((await paris.bulk.list()).map(({ id }) => id)).toEqual([fresh.id, third.id, second.id])
    await expect(paris.bulk.get(done.id)).rejects.toMatchObject({ code: 'BULK_RUN_UNKNOWN' })
  })

  it.each<[string, () => unknown, string]>([
    ['an unknown type', () => ({ action: 'resync', type: 'wigdet' }), 'UNKNOWN_REPLICABLE'],
    ['an unknown action', () => ({ action: 'remove', type: 'widget' }), 'INVALID_REQUEST'],
    ['no action', () => undefined, 'INVALID_REQUEST'],
    ['an unknown filter', () => ({ action: 'resync', type: 'widget', filter: { state: 'failed' } }), 'INVALID_REQUEST'],
    ['a key that is none', () => ({ action: 'resync', type: 'widget', filter: { ids: ["1'"] } }), 'INVALID_RECORD_ID'],
    ['no key at all', () => ({ action: 'resync', type: 'widget', filter: { ids: [] } }), 'INVALID_REQUEST'],
  ])('with %s is refused', async (_, request, code) => {
    await expect(paris.bulk.start(request() as never)).rejects.toMatchObject({ code })
  })

  it.each(['12', '', '1e3', "1'", '99999999999999999999'])('%j is not known', async (id) => {
    await expect(paris.bulk.cancel(id)).rejects.toMatchObject({ code: 'BULK_RUN_UNKNOWN' })
  })

  it('asks the loops for the rows that have new work, and only then', async () => {
    await addSynced(3)
    await resync({ syncState: 'failed' })
    await finish(await paris.bulk.start({ action: 'resync', type: 'widget', dryRun: true }))
    expect(paris.woken).toEqual([])
    await reverify()
    await resync()
    expect(paris.woken).toEqual(['reverify', 'resync'])
  })
})

describe('A page of a bulk run', () => {
  it('that dies leaves nothing, and another process goes on where the last one ended', async () => {
    const { tracking } = databases
    await addSynced(MANY)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    await paris.page()
    await tracking.raw(`create function die() returns trigger language plpgsql as $$
      begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$`)
    await tracking.raw(
      'create trigger die before update on widget_registry for each row when (new.widget_id = 900) execute function die()',
    )
    await expect(paris.page()).rejects.toThrow(/terminat/)
    await tracking.raw('drop function die() cascade')
    const stopped = await paris.bulk.get(run.id)
    expect(stopped).toMatchObject({ state: 'running', examined: 500, changed: 500 })
    expect(stopped.failure?.message).toMatch(/terminat/)

    const other = openBulkSite(databases, 'paris')
    await other.work()
    expect(await other.bulk.get(run.id)).toMatchObject({ state: 'finished', examined: MANY, changed: MANY })
  })

  it('stops with its database and goes on with it', async () => {
    const { tracking, trackingUrl } = databases
    await addSynced(MANY)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    await paris.page()
    const { rows } = await tracking.raw('select current_database() as name')
    const { name } = rows[0]
    await withClient(databaseUrl(trackingUrl, 'postgres'), async (client) => {
      await client.query(`alter database ${name} with allow_connections false`)
      await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
      for (let attempt = 1; attempt <= 3; attempt += 1) await expect(paris.page()).rejects.toThrow()
      await client.query(`alter database ${name} with allow_connections true`)
    })
    await until(() => paris.page().catch(() => false))
    await paris.work()
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'finished', examined: MANY, changed: MANY })
  })

  it('is done by one of several processes at once, and counted once', async () => {
    await addSynced(MANY)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    const processes = [paris, openBulkSite(databases, 'paris'), openBulkSite(databases, 'paris')]
    await Promise.all(processes.map((each) => each.work()))
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'finished', examined: MANY, changed: MANY })
  })

  it('waits for no row that another has locked: it comes back for it', async () => {
    const { tracking } = databases
    await addSynced(20)
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    const other = await tracking.transaction()
    await other('widget_registry').whereIn('widget_id', [3, 4]).update({ state: SYNC_STATE.failed, retry_count: 9 })
    await paris.page()
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'running', examined: 20, changed: 18, doneFraction: 1 })
    expect(await paris.page()).toBe(false)
    await other.commit()
    expect(await finish(run)).toMatchObject({ state: 'finished', examined: 20, changed: 20 })
    expect(await registryRow(tracking, widgets, '4')).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0 })
  })

  it('judges a row that changed meanwhile as it is now', async () => {
    const { tracking } = databases
    await addSynced(3)
    await tracking('widget_registry').update({ state: SYNC_STATE.failed })
    const run = await paris.bulk.start({ action: 'resync', type: 'widget', filter: { syncState: 'failed' } })
    const other = await tracking.transaction()
    await other('widget_registry').where('widget_id', 2).update({ state: SYNC_STATE.synced })
    await paris.page()
    await other.commit()
    expect(await finish(run)).toMatchObject({ state: 'finished', changed: 2 })
    expect(await registryRow(tracking, widgets, '2')).toMatchObject({ state: SYNC_STATE.synced })
  })

  it('that takes too long is called off and tried again at half its size', async () => {
    const { tracking } = databases
    await addSynced(50)
    await tracking.raw(`create function dawdle() returns trigger language plpgsql as $$
      begin perform pg_sleep(0.02); return new; end $$`)
    await tracking.raw('create trigger dawdle before update on widget_registry for each row execute function dawdle()')
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    await tracking('geo_bulk_runs').update({ page_size: 50 })
    await paris.page()
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'waiting', examined: 0 })
    const { page_size } = await tracking('geo_bulk_runs').where('id', run.id).first('page_size')
    expect(page_size).toBe(25)
    await paris.work()
    await tracking.raw('drop function dawdle() cascade')
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'finished', changed: 50, failure: null })
  })

  it('that fails holds up no other run', async () => {
    const { tracking } = databases
    await addSynced(3)
    const broken = await paris.bulk.start({ action: 'resync', type: 'gadget' })
    await tracking.raw('alter table gadget_registry rename to gadget_registry_away')
    const run = await paris.bulk.start({ action: 'resync', type: 'widget' })
    await expect(paris.page()).rejects.toThrow()
    await tracking.raw('alter table gadget_registry_away rename to gadget_registry')
    expect(await paris.bulk.get(run.id)).toMatchObject({ state: 'finished', changed: 3 })
    const { failure } = await paris.bulk.get(broken.id)
    expect(failure).toMatchObject({ message: 'relation "gadget_registry" does not exist' })
    expect(await finish(broken)).toMatchObject({ state: 'finished' })
  })
})

it('A type that this process does not declare is left to others', async () => {
  const run = await paris.bulk.start({ action: 'resync', type: 'gadget' })
  const older = openBulkSite(databases, 'paris', [widgets as Replicable])
  expect(await older.page()).toBe(false)
  expect(await finish(run)).toMatchObject({ state: 'finished' })
})
