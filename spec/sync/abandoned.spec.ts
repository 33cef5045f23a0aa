import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { endAbandoned } from '../../lib/other-leases.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { settle, step } from '../../lib/testing/settle.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { addRegistryRow, registryRow, untyped } from '../support/fixture-rows.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'

let primary: PrimarySite
let tracking: Knex
let site: AssembledSite

beforeAll(async () => {
  primary = await createPrimarySite()
  tracking = primary.databases.tracking
})
afterAll(() => primary?.close())
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_leases', 'geo_stores']) await tracking(table).delete()
  site = await assembleSecondary(primary.databases)
})
afterEach(async () => {
  await accept()
  await site.close()
})

const row = (id: string) => registryRow(tracking, untyped(primary.replicables.widgets), id)
const leases = () => tracking('geo_leases').whereNotNull('replicable_name')
const { sync, verify } = { sync: () => site.parts.sources.sync, verify: () => site.parts.sources.verify }

/** From now on the tracking database answers with this code whoever marks such a copy. */
async function refuse(code: string, marked: string): Promise<void> {
  await tracking.raw(`create function refuse() returns trigger language plpgsql as
    $$ begin raise exception 'refused' using errcode = '${code}'; end $$`)
  await tracking.raw(
    `create trigger refuse before update on widget_registry for each row when (${marked}) execute function refuse()`,
  )
}

async function accept(): Promise<void> {
  await tracking.raw('drop trigger if exists refuse on widget_registry; drop function if exists refuse()')
}

async function waiting(): Promise<string> {
  const id = await primary.addWidget('a/b', 'bytes')
  await addRegistryRow(tracking, untyped(primary.replicables.widgets), id)
  return id
}

async function failedSync(code: string): Promise<string> {
  const id = await waiting()
  await refuse(code, `old.state = ${SYNC_STATE.started}`)
  const batch = await sync().claim()
  if (!batch) throw new Error('There was nothing to claim')
  await expect(sync().work(batch)).rejects.toMatchObject({ code })
  expect(await row(id)).toMatchObject({ state: SYNC_STATE.started })
  await accept()
  return id
}

describe('What a process has claimed, and could not mark', () => {
  it.each([
    ['the server was stopped', '57P01'],
    ['a deadlock was ended', '40P01'],
    ['a statement took too long', '57014'],
  ])('is given back as soon as its database answers, with nothing counted, where %s', async (_, code) => {
    const id = await failedSync(code)
    await step(site.parts, 'end-dead-leases')
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0, last_sync_failure: null })
    expect(await leases()).toEqual([])
    await settle(site.parts, ['sync'])
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced })
  })

  it('has failed, and is counted, where one mark is refused for what it is: it would be again, and all else with it', async () => {
    const id = await waiting()
    await refuse('22012', `new.state = ${SYNC_STATE.synced}`)
    const batch = await sync().claim()
    if (!batch) throw new Error('There was nothing to claim')
    await sync().work(batch)
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.failed, retry_count: 1, error_code: 'INTERNAL' })
    expect(await leases()).toEqual([])
  })

  it('is given back, and nothing is counted, where something is missing or not allowed: that is no fault of a row', async () => {
    const id = await waiting()
    await refuse('42501', `new.state = ${SYNC_STATE.synced}`)
    const batch = await sync().claim()
    if (!batch) throw new Error('There was nothing to claim')
    await expect(sync().work(batch)).rejects.toMatchObject({ code: '42501' })
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0, error_code: null })
    expect(await leases()).toEqual([])
  })

  it('waits for the end of its lease where the statement itself is at fault: it would fail again at once', async () => {
    const id = await failedSync('22012')
    expect(site.logger.coded()).toContainEqual({
      level: 'warn',
      fields: { code: 'INTERNAL', replicable: 'widget', error: expect.stringContaining('refused') },
      message: 'A batch failed, and what came of it could not be written',
    })
    await step(site.parts, 'end-dead-leases')
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.started })
    expect(await leases()).toHaveLength(1)
  })

  it.each([
    ['the server was stopped', '57P01'],
    ['something is missing or not allowed', '42501'],
  ])('is given back where it was to be hashed, and %s', async (_, code) => {
    const id = await waiting()
    await settle(site.parts, ['sync'])
    await tracking('widget_registry').update({ verification_state: VERIFICATION_STATE.pending })
    await refuse(code, `old.verification_state = ${VERIFICATION_STATE.started}`)
    const batch = await verify().claim()
    if (!batch) throw new Error('There was nothing to claim')
    await expect(verify().work(batch)).rejects.toMatchObject({ code })
    await accept()
    await step(site.parts, 'end-dead-leases')
    expect(await row(id)).toMatchObject({
      verification_state: VERIFICATION_STATE.pending,
      verification_retry_count: 0,
      verification_failure: null,
    })
    expect(await leases()).toEqual([])
  })

  it('is given back where it was claimed, and nobody heard that it was', async () => {
    const id = await waiting()
    const pool = site.parts.databases.tracking
    const connection = await pool?.client.acquireConnection()
    const { query } = connection
    connection.query = (asked: string | { text: string }, ...more: unknown[]) => {
      const isCommit = (typeof asked === 'string' ? asked : asked.text).startsWith('COMMIT')
      return query.call(connection, isCommit ? 'COMMIT; select 1/0' : asked, ...more)
    }
    await pool?.client.releaseConnection(connection)
    await expect(sync().claim()).rejects.toMatchObject({ code: '22012' })
    connection.query = query
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.started })
    await step(site.parts, 'end-dead-leases')
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0 })
    expect(await leases()).toEqual([])
  })

  it('is not touched while a transaction that marks it may still be committed', async () => {
    const id = await failedSync('57014')
    await tracking.transaction(async (trx) => {
      await trx.raw('select 1 from geo_leases where replicable_name is not null for key share')
      await step(site.parts, 'end-dead-leases')
      expect(await row(id)).toMatchObject({ state: SYNC_STATE.started })
    })
    await step(site.parts, 'end-dead-leases')
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.pending })
  })

  it('is not what has its number in the database that a promoted site writes from then on', async () => {
    await failedSync('57P01')
    const [lost] = await leases()
    const there = site.parts.databases.main
    const others = { ...lost, record_ids: ['1'], holder: '00000000-0000-4000-8000-000000000001' }
    await primary.databases.main('geo_leases').insert(others)
    try {
      const none = { count: 0, failures: [] }
      expect(await endAbandoned(there, site.parts.leases, async () => undefined)).toEqual(none)
      expect(await there('geo_leases').where({ id: lost.id })).toHaveLength(1)
    } finally {
      await primary.databases.main('geo_leases').delete()
    }
  })

  it('is not what it, or another process, works on', async () => {
    await failedSync('57P01')
    const other = await assembleSecondary(primary.databases, { root: site.root })
    try {
      await waiting()
      const others = await other.parts.sources.sync.claim()
      await waiting()
      const own = await sync().claim()
      await step(site.parts, 'end-dead-leases')
      const held = (await leases()).map((lease: { id: string }) => lease.id)
      expect(held.sort()).toEqual([String(others?.lease.id), String(own?.lease.id)].sort())
    } finally {
      await other.close()
    }
  })
})
