import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeDigest } from '../lib/blob/digest.ts'
import { stateTableOf } from '../lib/blob/primary-checksum.ts'
import { claimRows } from '../lib/registry/claims.ts'
import { SYNC_STATE as S } from '../lib/registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../lib/verification/verification-state.ts'
import { type AssembledSite, assembleSecondary } from './support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addHostRow, addLease, addRegistryRow, registryRow, secondsFromNow, untyped } from './support/fixture-rows.ts'
import { digestOf } from './support/verifying-site.ts'

const EIGHT_HOURS_S = 8 * 3600

let databases: SpecDatabases
let site: AssembledSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await assembleSecondary(databases)
})
afterAll(async () => {
  await site?.close()
  await databases.destroy()
})
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_leases']) await databases.tracking(table).delete()
})

const widgets = () => untyped(site.replicables.widgets)
const row = (id: string) => registryRow(databases.tracking, widgets(), id)

async function runJob(name: string): Promise<boolean> {
  const job = site.parts.jobs.find((candidate) => candidate.name === name)
  if (!job) throw new Error(`There is no job ${name}`)
  return job.run(new AbortController().signal)
}

describe('The eight-hour sweep of attempts to fetch', () => {
  const started = (secondsAgo: number) => ({
    state: S.started,
    last_synced_at: secondsFromNow(databases.tracking, -secondsAgo),
    lease_id: '999999',
  })

  it('fails what was started longer ago and belongs to no lease', async () => {
    await addRegistryRow(databases.tracking, widgets(), '1', started(EIGHT_HOURS_S + 60))
    await addRegistryRow(databases.tracking, widgets(), '2', started(EIGHT_HOURS_S - 60))
    expect(await runJob('sync-timeouts')).toBe(false)
    expect(await row('1')).toMatchObject({
      state: S.failed,
      last_sync_failure: 'Sync timed out after 28800',
      error_code: 'TIMED_OUT',
      retry_count: 1,
      lease_id: null,
    })
    const { rows } = await databases.tracking.raw(
      'select extract(epoch from retry_at - clock_timestamp())::float8 as seconds from widget_registry where widget_id = 1',
    )
    expect(rows[0].seconds).toBeGreaterThan(5)
    expect(rows[0].seconds).toBeLessThanOrEqual(74)
    expect(await row('2')).toMatchObject({ state: S.started })
  })

  it('never touches a row under a lease, nor one that is about to be taken over', async () => {
    for (const [id, secondsLeft] of [
      ['1', 10],
      ['2', -1],
    ] as const) {
      const lease = await addLease(databases.tracking, { recordIds: [id], secondsLeft })
      await addRegistryRow(databases.tracking, widgets(), id, { ...started(EIGHT_HOURS_S * 2), lease_id: lease })
    }
    await runJob('sync-timeouts')
    for (const id of ['1', '2']) expect(await row(id)).toMatchObject({ state: S.started, last_sync_failure: null })
  })

  it('keeps the first cause', async () => {
    const cause = { last_sync_failure: 'the disk is full', error_code: 'STORAGE_FULL', retry_count: 4 }
    await addRegistryRow(databases.tracking, widgets(), '1', { ...started(EIGHT_HOURS_S * 2), ...cause })
    await runJob('sync-timeouts')
    expect(await row('1')).toMatchObject({ state: S.failed, ...cause, retry_count: 5 })
  })

  it('works in bounded batches until nothing is left', async () => {
    await databases.tracking.raw(
      `insert into widget_registry (widget_id, created_at, state, last_synced_at)
       select n, now(), ${S.started}, now() - interval '9 hours' from generate_series(1, 2500) n`,
    )
    const left = async () => (await databases.tracking('widget_registry').where({ state: S.started })).length
    const batches: [boolean, number][] = []
    for (let batch = 0; batch < 3; batch += 1) batches.push([await runJob('sync-timeouts'), await left()])
    expect(batches).toEqual([
      [true, 1500],
      [true, 500],
      [false, 0],
    ])
  })
})

describe('The eight-hour sweep of verifications', () => {
  const started = (secondsAgo: number) => ({
    state: S.synced,
    blob_key: 'a/b',
    verification_state: V.started,
    verification_started_at: secondsFromNow(databases.tracking, -secondsAgo),
  })

  it('fails a copy with its sync, so that it is fetched again', async () => {
    await addRegistryRow(databases.tracking, widgets(), '1', started(EIGHT_HOURS_S + 60))
    await addRegistryRow(databases.tracking, widgets(), '2', started(EIGHT_HOURS_S - 60))
    await runJob('verification-timeouts')
    expect(await row('1')).toMatchObject({
      verification_state: V.failed,
      verification_failure: 'Verification timed out after 28800',
      verification_retry_count: 1,
      verification_checksum: null,
      state: S.failed,
      last_sync_failure: 'Verification failed with: Verification timed out after 28800',
      error_code: 'TIMED_OUT',
      retry_count: 1,
    })
    expect(await row('2')).toMatchObject({ verification_state: V.started, state: S.synced })
  })

  it('never touches a copy under a lease', async () => {
    await addLease(databases.tracking, { kind: 'verification:widget', recordIds: ['1'] })
    await addRegistryRow(databases.tracking, widgets(), '1', started(EIGHT_HOURS_S * 2))
    await runJob('verification-timeouts')
    expect(await row('1')).toMatchObject({ verification_state: V.started })
  })
})

describe('The eight-hour sweep of the primary', () => {
  let primary: AssembledSite
  beforeAll(async () => {
    primary = await assembleSecondary(databases, { options: { siteName: 'rome' } })
  })
  afterAll(() => primary?.close())

  it.each(['widgets', 'gadgets'] as const)(
    'fails a record of %s, and keeps its checksum and its cause',
    async (type) => {
      const { main } = databases
      const replicable = untyped(primary.replicables[type])
      const { table, key } = stateTableOf(replicable)
      const checksum = encodeDigest(await digestOf('bytes'))
      const add = async (secondsAgo: number, failure: string | null) => {
        const id = await addHostRow(main, replicable)
        const state = {
          verification_state: V.started,
          verification_started_at: secondsFromNow(main, -secondsAgo),
          verification_checksum: checksum,
          verification_failure: failure,
        }
        await (table === replicable.table
          ? main(table).where({ id }).update(state)
          : main(table).insert({ ...state, [key]: id }))
        return id
      }
      const late = await add(EIGHT_HOURS_S + 60, null)
      const known = await add(EIGHT_HOURS_S + 60, 'the disk is full')
      const recent = await add(EIGHT_HOURS_S - 60, null)
      const held = await add(EIGHT_HOURS_S + 60, null)
      await main('geo_leases').insert({
        kind: `verification:${replicable.name}`,
        replicable_name: replicable.name,
        holder: main.raw('gen_random_uuid()'),
        record_ids: [held],
        expires_at: secondsFromNow(main, 10),
      })
      const job = primary.parts.jobs.find(({ name }) => name === 'verification-timeouts')
      await job?.run(new AbortController().signal)
      const stateOf = (id: string) =>
        main(table)
          .where({ [key]: id })
          .first()
      expect(await stateOf(late)).toMatchObject({
        verification_state: V.failed,
        verification_failure: 'Verification timed out after 28800',
        verification_checksum: checksum,
        verification_retry_count: 1,
      })
      expect(await stateOf(known)).toMatchObject({
        verification_state: V.failed,
        verification_failure: 'the disk is full',
      })
      for (const id of [recent, held]) expect(await stateOf(id)).toMatchObject({ verification_state: V.started })
    },
  )
})

it('What a sweep fails is one line of the log for each batch, a warning', async () => {
  const long = secondsFromNow(databases.tracking, -2 * EIGHT_HOURS_S)
  for (const id of ['1', '2'])
    await addRegistryRow(databases.tracking, widgets(), id, { state: S.started, last_synced_at: long })
  await addRegistryRow(databases.tracking, widgets(), '3', {
    state: S.synced,
    blob_key: 'a/b',
    verification_state: V.started,
    verification_started_at: long,
  })
  site.logger.clear()
  await runJob('sync-timeouts')
  await runJob('verification-timeouts')
  const move = { method: 'sweepTimedOut', from: 'started', to: 'failed' }
  expect(site.logger.lines.map(({ level, fields }) => ({ level, fields }))).toMatchObject([
    { level: 'warn', fields: { class: 'WidgetRegistry', count: 2, model_record_id: '1,2', ...move } },
    { level: 'warn', fields: { table: 'widget_registry', count: 1, ids: '3', ...move } },
    { level: 'warn', fields: { class: 'WidgetRegistry', count: 1, model_record_id: '3', ...move, from: 'synced' } },
  ])
})

it('A row that is to be fetched and whose lease is gone is claimed like any other', async () => {
  await addRegistryRow(databases.tracking, widgets(), '1', { lease_id: '999999' })
  const lease = await addLease(databases.tracking, { recordIds: ['2'], secondsLeft: -1 })
  await addRegistryRow(databases.tracking, widgets(), '2', { lease_id: lease })
  const claimed = await databases.tracking.transaction((trx) =>
    claimRows(trx, widgets(), '5', { rows: 10, byteBudget: 1000 }),
  )
  expect(claimed.map(({ id }) => id)).toEqual(['1'])
})
