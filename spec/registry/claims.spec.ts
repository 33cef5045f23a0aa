import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { type ClaimedRow, claimRows, typesToSync } from '../../lib/registry/claims.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import {
  addLease,
  addRegistryRow,
  registryRow,
  registryRows,
  secondsFromNow,
  untyped,
} from '../support/fixture-rows.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)
const MEBIBYTE = 1024 * 1024

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
  await addLease(databases.tracking, { id: '9' })
})
afterAll(() => databases.destroy())
beforeEach(() => databases.tracking('widget_registry').delete())

function claim(leaseId = '1', limits: Partial<Parameters<typeof claimRows>[3]> = {}): Promise<ClaimedRow[]> {
  return databases.tracking.transaction((trx) =>
    claimRows(trx, widgets, leaseId, { rows: 100, byteBudget: MEBIBYTE, ...limits }),
  )
}

/** As in the turns which due retries lead. */
function claimRetries(): Promise<ClaimedRow[]> {
  return databases.tracking.transaction((trx) =>
    claimRows(trx, widgets, '1', { rows: 100, byteBudget: MEBIBYTE }, ['retry', 'new', 'backfill']),
  )
}

const idsOf = (rows: readonly ClaimedRow[]) => rows.map((row) => row.id).sort((a, b) => Number(a) - Number(b))

it('Twenty claimers at once get every row, and none of them twice', async () => {
  const { tracking } = databases
  await tracking.raw(
    'insert into widget_registry (widget_id, created_at) select n, now() from generate_series(1, 2000) n',
  )
  const claimed: string[] = []
  await Promise.all(
    Array.from({ length: 20 }, async (_, claimer) => {
      for (let rows = await claim(String(claimer)); rows.length > 0; rows = await claim(String(claimer))) {
        claimed.push(...rows.map((row) => row.id))
      }
    }),
  )
  expect(claimed).toHaveLength(2000)
  expect(new Set(claimed).size).toBe(2000)
  expect(new Set((await registryRows(tracking, widgets)).map((row) => row['state']))).toEqual(
    new Set([SYNC_STATE.started]),
  )
})

it('A claim marks its rows as started, now, under its lease', async () => {
  const { tracking } = databases
  await addRegistryRow(tracking, widgets, '1', {
    last_synced_at: secondsFromNow(tracking, -999),
    blob_key: 'a',
    bytes: 5,
  })
  expect(await claim('42')).toEqual([
    {
      id: '1',
      registryId: expect.any(String),
      storedKey: 'a',
      retryCount: 0,
      bytes: 5,
      brandNew: false,
      announcedSecondsAgo: null,
      traceparent: null,
    },
  ])
  const row = await registryRow(tracking, widgets, '1')
  expect(row).toMatchObject({
    state: SYNC_STATE.started,
    lease_id: '42',
    // From here on "pending" would say that the primary's checksum came while the file was on its way.
    verification_state: VERIFICATION_STATE.disabled,
  })
  expect(Number(row?.['last_synced_at'])).toBeGreaterThan(Date.now() - 60_000)
})

it('New rows come before retries and these before backfill, and of each those that have waited longest first', async () => {
  const { tracking } = databases
  const failed = { state: SYNC_STATE.failed, retry_count: 1 }
  await addRegistryRow(tracking, widgets, '1', { ...failed, retry_at: secondsFromNow(tracking, -10) })
  await addRegistryRow(tracking, widgets, '2', { ...failed, retry_at: secondsFromNow(tracking, -20) })
  await addRegistryRow(tracking, widgets, '3', { ...failed, retry_at: null })
  await addRegistryRow(tracking, widgets, '4')
  await addRegistryRow(tracking, widgets, '5')
  for (const id of ['7', '6']) await addRegistryRow(tracking, widgets, id, { backfill: true })
  expect(idsOf(await claim('1', { rows: 1 }))).toEqual(['4'])
  expect(idsOf(await claim('1', { rows: 2 }))).toEqual(['3', '5'])
  expect(idsOf(await claim('1', { rows: 1 }))).toEqual(['2'])
  expect(idsOf(await claim('1', { rows: 2 }))).toEqual(['1', '7'])
  expect(idsOf(await claim())).toEqual(['6'])
})

it('What is not due, held, started, synced or to be removed stays', async () => {
  const { tracking } = databases
  const left: Record<string, Record<string, unknown>> = {
    1: { state: SYNC_STATE.failed, retry_count: 1, retry_at: secondsFromNow(tracking, 60) },
    2: { state: SYNC_STATE.pending, lease_id: '9' },
    3: { state: SYNC_STATE.started },
    4: { state: SYNC_STATE.synced },
    5: { state: SYNC_STATE.pending, removal_requested_at: tracking.fn.now() },
    6: { state: SYNC_STATE.failed, removal_requested_at: tracking.fn.now() },
    7: { state: SYNC_STATE.failed, retry_at: null, lease_id: '9' },
  }
  for (const [id, columns] of Object.entries(left)) await addRegistryRow(tracking, widgets, id, columns)
  const before = await registryRows(tracking, widgets)
  expect(await claim()).toEqual([])
  expect(await registryRows(tracking, widgets)).toEqual(before)
  expect(await typesToSync(tracking, [widgets, gadgets])).toEqual([])
})

it('The types that have rows to fetch are found in one question', async () => {
  const { tracking } = databases
  await addRegistryRow(tracking, widgets, '1', { state: SYNC_STATE.failed, retry_at: secondsFromNow(tracking, -1) })
  expect(await typesToSync(tracking, [gadgets, widgets])).toEqual([widgets])
  expect(await typesToSync(tracking, [])).toEqual([])
})

it('A claim takes no more bytes than its budget as far as sizes are known, but always a row', async () => {
  const { tracking } = databases
  const due = { state: SYNC_STATE.failed, retry_at: null }
  await addRegistryRow(tracking, widgets, '1', { ...due, bytes: 5 * MEBIBYTE })
  await addRegistryRow(tracking, widgets, '2', { ...due, bytes: MEBIBYTE / 2 })
  await addRegistryRow(tracking, widgets, '3', { ...due, bytes: MEBIBYTE / 2 })
  await addRegistryRow(tracking, widgets, '4', { ...due, bytes: MEBIBYTE / 2 })
  expect(idsOf(await claim())).toEqual(['1'])
  expect(idsOf(await claim())).toEqual(['2', '3'])
  expect(idsOf(await claim())).toEqual(['4'])
})

it('Whoever was lost with its worker comes with ever fewer others, and at last alone', async () => {
  const { tracking } = databases
  const lost = (losses: number) => ({ state: SYNC_STATE.failed, worker_losses: losses, retry_at: null })
  await tracking.raw(
    'insert into widget_registry (widget_id, created_at) select n, now() from generate_series(1, 200) n',
  )
  for (let id = 201; id <= 230; id += 1) await addRegistryRow(tracking, widgets, String(id), lost(1))
  for (let id = 301; id <= 306; id += 1) await addRegistryRow(tracking, widgets, String(id), lost(2))
  for (const id of ['401', '402']) await addRegistryRow(tracking, widgets, id, lost(3))
  await addRegistryRow(tracking, widgets, '501', lost(0))
  // Where new rows lead, no such row has room beside them.
  expect(idsOf(await claim())).toEqual(Array.from({ length: 100 }, (_, at) => String(at + 1)))
  const sizes: number[] = []
  for (let rows = await claimRetries(); rows.length > 0; rows = await claimRetries()) sizes.push(rows.length)
  // What is left of those that were lost as often is filled up with new rows.
  expect(sizes.slice(0, 6)).toEqual([25, 25, 5, 5, 1, 1])
  expect(sizes.reduce((sum, size) => sum + size)).toBe(139)
})

it('New rows do not join a row that was lost', async () => {
  const { tracking } = databases
  await addRegistryRow(tracking, widgets, '1')
  await addRegistryRow(tracking, widgets, '2', { state: SYNC_STATE.failed, worker_losses: 3, retry_at: null })
  expect(idsOf(await claimRetries())).toEqual(['2'])
  expect(idsOf(await claimRetries())).toEqual(['1'])
})

it('A large blob does not come with smaller ones before it', async () => {
  const { tracking } = databases
  await addRegistryRow(tracking, widgets, '1', { bytes: MEBIBYTE / 2 })
  await addRegistryRow(tracking, widgets, '2', { bytes: 2 ** 40 })
  await addRegistryRow(tracking, widgets, '3', { bytes: MEBIBYTE / 2 })
  for (const id of ['1', '2', '3']) expect(idsOf(await claim())).toEqual([id])
})

it('A claim keeps from others no more rows than it takes', async () => {
  const { tracking } = databases
  for (let id = 1; id <= 6; id += 1) await addRegistryRow(tracking, widgets, String(id), { bytes: MEBIBYTE / 2 })
  const open = await tracking.transaction()
  try {
    const taken = await claimRows(open, widgets, '1', { rows: 100, byteBudget: MEBIBYTE })
    expect(idsOf(taken)).toEqual(['1', '2'])
    expect(idsOf(await claim('2', { byteBudget: 10 * MEBIBYTE }))).toEqual(['3', '4', '5', '6'])
  } finally {
    await open.commit()
  }
})

it('A claim tells the rows that nothing has ever happened to', async () => {
  const { tracking } = databases
  await addRegistryRow(tracking, widgets, '1')
  const touched: Record<string, unknown>[] = [
    { last_synced_at: tracking.fn.now() },
    { retry_count: 1 },
    { retry_at: tracking.fn.now() },
    { last_sync_failure: 'x' },
    { error_code: 'X' },
    { verified_at: tracking.fn.now() },
    { verification_state: VERIFICATION_STATE.disabled },
    { verification_retry_count: 1 },
    { verification_checksum: Buffer.of(1) },
    { checksum_mismatch: true },
    { blob_key: 'x' },
    { state: SYNC_STATE.failed },
  ]
  for (const [position, columns] of touched.entries())
    await addRegistryRow(tracking, widgets, `${position + 2}`, columns)
  const claimed = await claim()
  expect(claimed).toHaveLength(touched.length + 1)
  expect(claimed.filter((row) => row.brandNew).map((row) => row.id)).toEqual(['1'])
})
