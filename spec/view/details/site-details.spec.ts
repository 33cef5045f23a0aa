import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Replicable } from '../../../lib/blob/replicable.ts'
import type { RegistryPosition } from '../../../lib/registry/registry-page.ts'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../../lib/verification/verification-state.ts'
import type { Asker, FoundPage, SiteDetails } from '../../../lib/view/details/details.ts'
import { addRegistered, type RegistryColumns, registryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

const READER: Asker = { operator: 'ada', abilities: ['read_geo'], ip: '192.0.2.7' }
const ADMIN: Asker = { ...READER, abilities: ['read_geo', 'admin_geo'] }

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())
beforeEach(async () => {
  const { tracking } = sites.paris.databases
  for (const table of ['widget_registry', 'gadget_registry', 'geo_bulk_runs']) await tracking(table).delete()
  sites.off.clear()
})

/** What is known of a site, asked at another or at itself. */
function asked(name: string, at: 'rome' | 'paris', asker: Asker): SiteDetails {
  const { sites: directory, viewing } = at === 'rome' ? sites.rome : sites.paris.assembly
  const site = directory.byName(name)
  if (!site) throw new Error(`There is no ${name}`)
  return viewing.details.of(site, asker)
}

const WAYS = [
  ['at that site itself', 'paris'],
  ['at the primary', 'rome'],
] as const

const VERIFIED = { state: SYNC_STATE.synced, verification_state: VERIFICATION_STATE.succeeded }
const FAILED = {
  state: SYNC_STATE.failed,
  retry_count: 7,
  retry_at: new Date('2999-01-01T00:00:00Z'),
  last_sync_failure: 'Not found <b>there</b>',
  error_code: 'HTTP_STATUS',
}

const add = (type: Replicable, columns: RegistryColumns) => addRegistered(sites.paris.databases, type, columns)

const FIRST = { window: { limit: 10 }, countUpTo: 100 }

describe.each(WAYS)('What a secondary knows, asked %s,', (_, at) => {
  const read = () => asked('paris', at, READER)
  const admin = () => asked('paris', at, ADMIN)

  it('is a page of registries in their order, and how many there are', async () => {
    const { widgets } = sites.paris
    const first = await add(widgets, VERIFIED)
    const second = await add(widgets, FAILED)
    const third = await add(widgets, FAILED)
    const page = await read().registries({ type: 'widget', filters: {}, ...FIRST, window: { limit: 2 } })
    expect(page).toMatchObject({
      count: 3,
      entries: [
        { type: 'widget', ...first, state: 'synced', verificationState: 'succeeded', retryAt: null },
        {
          ...second,
          state: 'failed',
          retryCount: 7,
          retryAt: '2999-01-01T00:00:00.000Z',
          lastSyncFailure: 'Not found <b>there</b>',
          errorCode: 'HTTP_STATUS',
        },
      ],
    })
    const after = page.entries.at(-1)?.position ?? null
    const filters = { replicationState: 'failed', sort: 'ID_ASC' } as const
    expect(
      await read().registries({ type: 'widget', filters, window: { limit: 2, after }, countUpTo: null }),
    ).toMatchObject({ count: null, entries: [third] })
  })

  it('is no registries while the flag of the type is off', async () => {
    await add(sites.paris.widgets, VERIFIED)
    sites.off.add('widget')
    expect(await read().registries({ type: 'widget', filters: {}, ...FIRST })).toEqual({ entries: [], count: 0 })
  })

  it('is everything of one blob, by its registry or its record', async () => {
    const { recordId, registryId } = await add(sites.paris.gadgets, FAILED)
    const byRegistry = await read().explain('gadget', { registryId })
    expect(byRegistry).toMatchObject({
      type: 'gadget',
      id: recordId,
      site: { name: 'paris', role: 'secondary' },
      copy: { registryId, state: 'failed', attempts: 7 },
      failure: { code: 'HTTP_STATUS' },
    })
    expect(await read().explain('gadget', { recordId })).toEqual(byRegistry)
    await expect(read().explain('gadget', { registryId: '999999' })).rejects.toMatchObject({ code: 'REGISTRY_UNKNOWN' })
    await expect(read().explain('gadget', { recordId: 'x' })).rejects.toMatchObject({ code: 'INVALID_RECORD_ID' })
  })

  it('is what failed, and how it is tried again', async () => {
    const { recordId } = await add(sites.paris.widgets, FAILED)
    const [group, ...others] = await read().failures('widget')
    expect(others).toEqual([])
    expect(group).toMatchObject({ code: 'HTTP_STATUS', count: 1, newest: { id: recordId } })
    const run = await admin().startRun(group?.retries[0] as never)
    expect(run).toMatchObject({
      type: 'widget',
      action: 'resync',
      filter: { errorCode: 'HTTP_STATUS', syncState: 'failed' },
      requestedBy: 'ada',
      state: 'waiting',
      createdAt: expect.any(Date),
      startedAt: null,
    })
  })

  it('is changed at once, but for rows that another transaction has locked', async () => {
    const { widgets, databases } = sites.paris
    const [free, busy] = [await add(widgets, FAILED), await add(widgets, FAILED)]
    const trx = await databases.tracking.transaction()
    await trx('widget_registry').where({ id: busy.registryId }).forUpdate()
    const registryIds = [free.registryId, busy.registryId]
    const left = await admin().changeNow({ action: 'resync', type: 'widget', registryIds })
    await trx.rollback()
    expect(left).toEqual([busy.registryId])
    const [entry] = await sites.paris.assembly.audit.list({ limit: 1 })
    expect(entry).toMatchObject({
      operator: 'ada',
      ip: '192.0.2.7',
      site: 'paris',
      action: 'registry.resync',
      subject: 'widget',
      details: { registryIds },
      outcome: 'done',
    })
    expect(await registryRow(databases.tracking, widgets, free.recordId)).toMatchObject({ state: SYNC_STATE.pending })
    expect(await registryRow(databases.tracking, widgets, busy.recordId)).toMatchObject({ state: SYNC_STATE.failed })
  })

  it('is its runs, which end when they are told to', async () => {
    await add(sites.paris.widgets, VERIFIED)
    const run = await admin().startRun({ action: 'reverify', type: sites.paris.widgets, dryRun: true })
    expect(await read().runs()).toEqual([run])
    await expect(admin().startRun({ action: 'reverify', type: 'widget', dryRun: true })).rejects.toMatchObject({
      code: 'BULK_RUN_ACTIVE',
    })
    expect(await admin().cancelRun(run.id)).toMatchObject({ state: 'cancelled', cancelledAt: expect.any(Date) })
    await expect(admin().cancelRun('404')).rejects.toMatchObject({ code: 'BULK_RUN_UNKNOWN' })
    const entries = await sites.paris.assembly.audit.list({ limit: 4 })
    expect(entries.map(({ action, subject, outcome }) => ({ action, subject, outcome }))).toEqual([
      { action: 'bulk.cancel', subject: 'run #404', outcome: 'BULK_RUN_UNKNOWN' },
      { action: 'bulk.cancel', subject: `run #${run.id}`, outcome: 'done' },
      { action: 'bulk.start', subject: 'widget', outcome: 'BULK_RUN_ACTIVE' },
      { action: 'bulk.start', subject: 'widget', outcome: 'done' },
    ])
  })

  it('lists no more runs than can travel', async () => {
    const ids = JSON.stringify({ ids: Array.from({ length: 10_000 }, (_each, position) => String(position)) })
    await sites.paris.databases.tracking.raw(
      `insert into geo_bulk_runs (action, replicable_name, filter, dry_run, finished_at)
       select 'reverify', 'widget', ?::jsonb, false, now() from generate_series(1, 7)`,
      [ids],
    )
    expect(await read().runs()).toHaveLength(5)
  })

  it('is what a promotion of it would lose: all whose copy is not proven', async () => {
    const ask = { type: 'widget', window: { limit: 3 }, countUpTo: 100 }
    expect(await read().losses(ask)).toEqual({ entries: [], count: 0 })
    const { widgets } = sites.paris
    const lost: string[] = []
    const S = SYNC_STATE
    const V = VERIFICATION_STATE
    for (const state of [S.pending, S.started, S.failed]) {
      lost.push((await add(widgets, { state, verification_state: V.succeeded })).registryId)
      await add(widgets, VERIFIED)
    }
    for (const verification_state of [V.pending, V.started, V.failed, V.disabled])
      lost.push((await add(widgets, { state: S.synced, verification_state })).registryId)
    await add(widgets, { state: S.pending, removal_requested_at: new Date() })
    sites.off.add('widget')

    const found: string[] = []
    for (let after: RegistryPosition | null = null; ; ) {
      const { entries, count }: FoundPage = await read().losses({ ...ask, window: { limit: 3, after } })
      found.push(...entries.map(({ registryId }) => registryId))
      after = entries.at(-1)?.position ?? null
      expect(count).toBe(lost.length)
      if (!after) break
    }
    expect(found).toEqual(lost)
    expect(await read().losses({ ...ask, countUpTo: 4 })).toMatchObject({ count: 5 })
  })

  it('is refused by code where there is no such type', async () => {
    const unknown = { code: 'UNKNOWN_REPLICABLE', message: expect.stringContaining('sprocket') }
    await expect(read().failures('sprocket')).rejects.toMatchObject(unknown)
    await expect(read().registries({ type: 'sprocket', filters: {}, ...FIRST })).rejects.toMatchObject(unknown)
    await expect(read().explain('sprocket', { recordId: '1' })).rejects.toMatchObject(unknown)
  })

  it('is changed by nobody who may only read, and read by nobody who may not', async () => {
    const { widgets, databases } = sites.paris
    const { recordId, registryId } = await add(widgets, FAILED)
    const forbidden = { code: 'FORBIDDEN', status: 403 }
    const change = { action: 'resync', type: 'widget', registryIds: [registryId] } as const
    await expect(read().changeNow(change)).rejects.toMatchObject(forbidden)
    await expect(read().startRun({ action: 'resync', type: 'widget' })).rejects.toMatchObject(forbidden)
    await expect(read().cancelRun('1')).rejects.toMatchObject(forbidden)
    const nobody = asked('paris', at, { ...READER, abilities: [] })
    await expect(nobody.runs()).rejects.toMatchObject(forbidden)
    await expect(nobody.losses({ type: 'widget', ...FIRST })).rejects.toMatchObject(forbidden)
    expect(await registryRow(databases.tracking, widgets, recordId)).toMatchObject({ state: SYNC_STATE.failed })
  })

  it('is not asked with anything that no site knows', async () => {
    const invalid = { code: 'INVALID_REQUEST' }
    const wide = { type: 'widget', filters: {}, window: { limit: 1001 }, countUpTo: null }
    await expect(read().registries(wide)).rejects.toMatchObject(invalid)
    const odd = { type: 'widget', filters: { ids: ['1; drop'] }, ...FIRST }
    await expect(read().registries(odd)).rejects.toMatchObject(invalid)
    const further = { action: 'resync', type: 'widget', filter: { shard: 'a' } } as never
    await expect(admin().startRun(further)).rejects.toMatchObject(invalid)
  })
})

describe('What the primary knows of itself', () => {
  it('is its runs and failures, and one blob by its record, but no registries', async () => {
    const own = asked('rome', 'rome', ADMIN)
    const notSecondary = { code: 'NOT_SECONDARY' }
    const { recordId } = await add(sites.paris.widgets, VERIFIED)
    expect(await own.failures('widget')).toEqual([])
    expect(await own.startRun({ action: 'reverify', type: 'widget', dryRun: true })).toMatchObject({ type: 'widget' })
    expect(await own.runs()).toHaveLength(1)
    expect(await own.explain('widget', { recordId })).toMatchObject({ site: { name: 'rome' }, copy: null })
    await expect(own.registries({ type: 'widget', filters: {}, ...FIRST })).rejects.toMatchObject(notSecondary)
    await expect(own.explain('widget', { registryId: '1' })).rejects.toMatchObject(notSecondary)
    await expect(own.changeNow({ action: 'resync', type: 'widget', registryIds: ['1'] })).rejects.toMatchObject(
      notSecondary,
    )
  })

  it('is not for a secondary to ask', () => {
    expect(() => asked('rome', 'paris', ADMIN)).toThrow(expect.objectContaining({ code: 'NOT_PRIMARY' }))
  })
})
