import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { backoffSeconds, HIGHEST_RETRY_COUNT, MISSING_ON_PRIMARY_CAP_S } from '../../lib/clock.ts'
import { boundedByKey } from '../../lib/databases.ts'
import {
  giveBackRows,
  markFailed,
  markSynced,
  markVerified,
  noteSizes,
  takeOverRows,
} from '../../lib/registry/marks.ts'
import { resyncRecords } from '../../lib/registry/registry.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, type RegistryColumns, registryRow, secondsFromNow, untyped } from '../support/fixture-rows.ts'

const widgets = untyped(declareReplicables('unused').widgets)
const LEASE = '5'
const STARTED = {
  state: SYNC_STATE.started,
  lease_id: LEASE,
  verification_state: VERIFICATION_STATE.disabled,
}
const failure = { id: '1', code: 'HTTP_STATUS', message: 'the primary said 500', retryInSeconds: 100 } as const
const copy = { id: '1', key: 'a/b', bytes: 12, verifiable: true, rowVersion: '7' }

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(() => databases.tracking('widget_registry').delete())

const start = (columns: RegistryColumns = {}) =>
  addRegistryRow(databases.tracking, widgets, '1', { ...STARTED, ...columns })
const row = () => registryRow(databases.tracking, widgets, '1')
const synced = (changes: Partial<typeof copy> = {}, lease = LEASE) =>
  databases.tracking.transaction((trx) => markSynced(trx, widgets, lease, [{ ...copy, ...changes }]))
const failed = (changes: { message?: string; retryInSeconds?: number } = {}, lease = LEASE) =>
  databases.tracking.transaction((trx) => markFailed(trx, widgets, lease, [{ ...failure, ...changes }]))
const takeOver = (retryInSeconds = 100) =>
  databases.tracking.transaction((trx) => takeOverRows(trx, widgets, LEASE, ['1'], retryInSeconds))
const giveBack = () => databases.tracking.transaction((trx) => giveBackRows(trx, widgets, LEASE, ['1']))

async function retryInSeconds(): Promise<number> {
  const { rows } = await databases.tracking.raw(
    'select extract(epoch from retry_at - clock_timestamp())::float8 as seconds from widget_registry',
  )
  return rows[0].seconds
}

describe('Synced', () => {
  it('clears the failure and keeps what is stored where', async () => {
    await start({ retry_count: 3, last_sync_failure: 'x', error_code: 'HTTP_STATUS' })
    await synced()
    expect(await row()).toMatchObject({
      state: SYNC_STATE.synced,
      retry_count: 0,
      retry_at: null,
      last_sync_failure: null,
      error_code: null,
      lease_id: null,
      blob_key: 'a/b',
      bytes: '12',
      superseded_keys: null,
      verification_state: VERIFICATION_STATE.pending,
    })
  })

  it.each([
    ['disabled', false, VERIFICATION_STATE.disabled],
    ['succeeded', false, VERIFICATION_STATE.disabled],
    ['disabled', true, VERIFICATION_STATE.pending],
    // Word of the checksum came while the file was on its way.
    ['pending', false, VERIFICATION_STATE.pending],
  ] as const)('leads verification from %s, verifiable %s, to %i', async (from, verifiable, to) => {
    await start({ verification_state: VERIFICATION_STATE[from] })
    await synced({ verifiable })
    expect(await row()).toMatchObject({ verification_state: to })
  })

  it('is not written on a row that was put to pending meanwhile', async () => {
    await start()
    await resyncRecords(databases.tracking, widgets, ['1'])
    const before = await row()
    await synced()
    expect(await row()).toEqual(before)
    await giveBack()
    expect(await row()).toMatchObject({ state: SYNC_STATE.pending, lease_id: null })
  })

  it.each([
    ['another lease', { lease_id: '6' }],
    ['no lease', { lease_id: null }],
    ['another state', { state: SYNC_STATE.failed }],
  ])('is not written on a row under %s', async (_, columns) => {
    await start(columns)
    const before = await row()
    await synced()
    await failed()
    await takeOver()
    expect(await row()).toEqual({ ...before, lease_id: before?.['lease_id'] === LEASE ? null : before?.['lease_id'] })
  })

  it('notes the key of an earlier copy, once per change of the key', async () => {
    await start({ blob_key: 'old' })
    await synced({ key: 'new' })
    await databases.tracking('widget_registry').update(STARTED)
    await synced({ key: 'newer' })
    await databases.tracking('widget_registry').update(STARTED)
    await synced({ key: 'newer' })
    expect(await row()).toMatchObject({ blob_key: 'newer', superseded_keys: ['old', 'new'] })
  })
})

describe('Verified at once', () => {
  const digest = { algorithm: 'xxh64', hex: '44bc2cf5ad770999' } as const
  const verified = () =>
    databases.tracking.transaction((trx) => markVerified(trx, widgets, LEASE, [{ ...copy, digest }]))

  it('is synced like any other, and the verification has ended', async () => {
    const announced = { announced_at: secondsFromNow(databases.tracking, -5), traceparent: 'x' }
    await start({ blob_key: 'old', retry_count: 3, verification_failure: 'x', ...announced })
    expect(await verified()).toEqual([{ id: '1', registryId: expect.any(String) }])
    expect(await row()).toMatchObject({
      state: SYNC_STATE.synced,
      blob_key: 'a/b',
      superseded_keys: ['old'],
      retry_count: 0,
      lease_id: null,
      verification_state: VERIFICATION_STATE.succeeded,
      verification_checksum: encodeDigest(digest),
      verification_failure: null,
      verified_at: expect.any(Date),
      announced_at: null,
      traceparent: null,
    })
  })

  it.each([
    ['asked for anew meanwhile', { verification_state: VERIFICATION_STATE.pending }],
    ['under another lease', { lease_id: '6' }],
    ['in another state', { state: SYNC_STATE.pending }],
  ])('is not written on a row %s', async (_, columns) => {
    await start(columns)
    const before = await row()
    expect(await verified()).toEqual([])
    expect(await row()).toEqual(before)
  })
})

describe('Marks find their rows by the keys, also while statistics say that no row is ever under way:', () => {
  const ROWS = 400
  const digest = { algorithm: 'xxh64', hex: '44bc2cf5ad770999' } as const
  const rows = Array.from({ length: ROWS }, (_, number) => ({ ...copy, id: String(number + 1), digest }))
  beforeEach(async () => {
    const { tracking } = databases
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, state, verification_state, blob_key)
       select n, now(), ${SYNC_STATE.synced}, ${VERIFICATION_STATE.succeeded}, n from generate_series(1001, 21000) n`,
    )
    await tracking.raw('analyze widget_registry')
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, state, lease_id, verification_state)
       select n, now(), ${SYNC_STATE.started}, ${LEASE}, ${VERIFICATION_STATE.disabled} from generate_series(1, ${ROWS}) n`,
    )
  })

  it.each([
    ['markSynced', (trx: Knex.Transaction) => markSynced(trx, widgets, LEASE, rows)],
    ['markVerified', (trx: Knex.Transaction) => markVerified(trx, widgets, LEASE, rows)],
    [
      'markFailed',
      (trx: Knex.Transaction) =>
        markFailed(
          trx,
          widgets,
          LEASE,
          rows.map(({ id }) => ({ ...failure, id })),
        ),
    ],
  ])('%s', async (_, mark) => {
    await boundedByKey(databases.tracking, async (trx) => {
      const before = await rowsRead(trx)
      expect(await mark(trx)).toHaveLength(ROWS)
      expect((await rowsRead(trx)) - before).toBeLessThan(5 * ROWS)
    })
  })
})

/** How many rows of the registry this transaction has read so far, however it came to them. */
async function rowsRead(trx: Knex.Transaction): Promise<number> {
  const { rows } = await trx.raw(
    `select (pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid) + (
       select sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) from pg_index i where i.indrelid = c.oid))::int as n
     from pg_class c where c.oid = 'widget_registry'::regclass`,
  )
  return rows[0].n
}

describe('Failed', () => {
  it('counts a retry and says why and when', async () => {
    await start({ retry_count: 1, blob_key: 'kept' })
    await failed()
    expect(await row()).toMatchObject({
      state: SYNC_STATE.failed,
      retry_count: 2,
      last_sync_failure: 'the primary said 500',
      error_code: 'HTTP_STATUS',
      lease_id: null,
      blob_key: 'kept',
    })
    expect(await retryInSeconds()).toBeGreaterThan(90)
    expect(await retryInSeconds()).toBeLessThanOrEqual(100)
  })

  it('cuts a long text to 255 characters, of any kind', async () => {
    await start()
    await failed({ message: `${'é'.repeat(250)}${'🙂'.repeat(50)}\0` })
    expect((await row())?.['last_sync_failure']).toBe(`${'é'.repeat(250)}🙂🙂...`)
  })

  it('keeps a text of 255 characters whole', async () => {
    await start()
    await failed({ message: 'x'.repeat(255) })
    expect((await row())?.['last_sync_failure']).toBe('x'.repeat(255))
  })

  it('stops counting where the column ends', async () => {
    await start({ retry_count: HIGHEST_RETRY_COUNT })
    await failed()
    expect(await row()).toMatchObject({ state: SYNC_STATE.failed, retry_count: HIGHEST_RETRY_COUNT })
  })
})

describe('The backoff', () => {
  const lowest = () => 0
  const highest = () => 0.999999

  it.each([
    [1, 16, 74],
    [2, 31, 118],
    [5, 640, 814],
    [8, 3616, 3674],
    [30, 3616, 3674],
  ])('after %i failures is between %i and %i seconds', (failures, from, to) => {
    expect(backoffSeconds(failures, lowest)).toBe(from)
    expect(backoffSeconds(failures, highest)).toBe(to)
  })

  it('goes to four hours for a blob that the primary does not have', () => {
    expect(MISSING_ON_PRIMARY_CAP_S).toBe(14_400)
    expect(backoffSeconds(100, lowest, MISSING_ON_PRIMARY_CAP_S)).toBe(14_416)
    expect(backoffSeconds(100, highest, MISSING_ON_PRIMARY_CAP_S)).toBe(14_474)
    expect(backoffSeconds(10, lowest, MISSING_ON_PRIMARY_CAP_S)).toBe(10_015)
  })
})

describe('Given back', () => {
  it.each([
    [0, SYNC_STATE.pending],
    [2, SYNC_STATE.failed],
  ])('after %i retries a row is in state %i again, and nothing is counted', async (retryCount, state) => {
    await start({
      retry_count: retryCount,
      last_sync_failure: 'earlier',
      retry_at: secondsFromNow(databases.tracking, -1),
    })
    await giveBack()
    expect(await row()).toMatchObject({ state, retry_count: retryCount, last_sync_failure: 'earlier', lease_id: null })
  })

  it('a copy of which an earlier file was to be removed stays synced', async () => {
    await start({ state: SYNC_STATE.synced, blob_key: 'new', superseded_keys: ['old'] })
    const before = await row()
    await giveBack()
    expect(await row()).toEqual({ ...before, lease_id: null })
  })
})

describe('Taken over from a process that died', () => {
  it('a row is due at once the first time, and counted, however often it failed before', async () => {
    await start({ retry_count: 3 })
    await takeOver()
    expect(await row()).toMatchObject({
      state: SYNC_STATE.failed,
      retry_count: 4,
      error_code: 'WORKER_LOST',
      last_sync_failure: 'The process that fetched this blob stopped answering',
      lease_id: null,
    })
    expect(await retryInSeconds()).toBeLessThanOrEqual(0)
  })

  it('a row waits for a lease from the second time on, and once it was lost alone twice in a row twice as long each time; it keeps its first cause', async () => {
    await start({ last_sync_failure: 'the disk is full', error_code: 'STORAGE_FULL' })
    await takeOver()
    expect(await retryInSeconds()).toBeLessThanOrEqual(0)
    const [withSome, withAFew, alone] = [20, 20, 20]
    for (const seconds of [withSome, withAFew, alone, 100, 200, 400, 800, 1600, 1600]) {
      await databases.tracking('widget_registry').update(STARTED)
      await takeOver()
      expect(await retryInSeconds()).toBeGreaterThan(seconds - 20)
      expect(await retryInSeconds()).toBeLessThanOrEqual(seconds)
    }
    expect(await row()).toMatchObject({
      retry_count: 10,
      error_code: 'STORAGE_FULL',
      last_sync_failure: 'the disk is full',
    })
  })

  it.each([
    ['failed by itself', () => failed()],
    ['synced', () => synced()],
    ['told of anew', () => resyncRecords(databases.tracking, widgets, ['1'])],
  ])('a row that was then %s begins anew', async (_, act) => {
    await start()
    await takeOver()
    await databases.tracking('widget_registry').update(STARTED)
    await act()
    expect(await row()).toMatchObject({ worker_losses: 0 })
  })

  it('a row that was put to pending meanwhile is only freed', async () => {
    await start()
    await resyncRecords(databases.tracking, widgets, ['1'])
    await takeOver()
    expect(await row()).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0, error_code: null, lease_id: null })
  })
})

it('A size that was learnt is kept', async () => {
  await start()
  await databases.tracking.transaction((trx) => noteSizes(trx, widgets, [{ id: '1', bytes: 2 ** 40 }]))
  expect(await row()).toMatchObject({ bytes: String(2 ** 40), state: SYNC_STATE.started })
})
