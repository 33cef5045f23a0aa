import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { defineReplicable } from '../../lib/blob/replicable.ts'
import { loadCursor } from '../../lib/event/cursor.ts'
import { type EventName, insertEvents, readEvents } from '../../lib/event/event-log.ts'
import { type Followed, followEvents } from '../../lib/event/follow.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import {
  addHostRow,
  addRegistryRow,
  addSites,
  registeredIds,
  registryRow,
  registryRows,
  untyped,
} from '../support/fixture-rows.ts'
import { addRecord } from '../support/primary-records.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)
const mutableGadgets = untyped(
  defineReplicable({
    name: 'gadget',
    table: 'gadgets',
    keyType: 'uuid',
    verificationState: 'columns',
    store: declared.store,
    blob: (row: { file_path: string | null }) => row.file_path,
    immutable: false,
  }),
)
const SITE = 'tokyo'
const TRACKED = ['widget_registry', 'gadget_registry', 'geo_event_cursors', 'geo_early_events', 'geo_reconciliations']

let databases: SpecDatabases
let logger: ReturnType<typeof recordingLogger>

beforeAll(async () => {
  databases = await createSpecDatabases()
  await addSites(databases.main, SITE)
})
afterAll(() => databases.destroy())

beforeEach(async () => {
  logger = recordingLogger()
  const { main, tracking } = databases
  for (const table of ['widgets', 'gadgets', 'geo_events']) await main(table).delete()
  for (const table of TRACKED) await tracking(table).delete()
  await passed()
})

function follow(overrides: Partial<Parameters<typeof followEvents>[0]> = {}): Promise<Followed> {
  return followEvents({
    siteName: SITE,
    replica: databases.standby,
    tracking: databases.tracking,
    replicables: new Map([
      ['widget', widgets],
      ['gadget', gadgets],
    ]),
    logger,
    selection: () => null,
    ...overrides,
  })
}

function publish(db: Knex, name: string, event: EventName, ...ids: string[]): Promise<void> {
  const events = ids.map((recordId) => ({ recordId }))
  return insertEvents(db, name, event, events)
}

/** Other spec files write to the same servers: their open transactions hold the horizon too. */
async function passed(): Promise<void> {
  await databases.caughtUp()
  await until(async () => {
    const { rows } = await databases.standby.raw(
      `select pg_snapshot_xmin(pg_current_snapshot()) > coalesce((select max(xact_id) from geo_events), '0') as passed`,
    )
    return rows[0].passed
  })
}

async function followToEnd(): Promise<void> {
  await passed()
  await until(async () => !(await follow()).more && (await unread()) === 0)
}

async function unread(): Promise<number> {
  const cursor = await loadCursor(databases.tracking, SITE)
  const { rows } = await databases.main.raw(
    'select count(*)::int as count from geo_events where (xact_id, id) > (?::xid8, ?::bigint)',
    [cursor?.xactId ?? '0', cursor?.eventId ?? '0'],
  )
  return rows[0].count
}

/** The site has followed the log before. */
async function started(): Promise<void> {
  await follow()
  await databases.tracking('geo_reconciliations').delete()
}

function reconciliationsAsked(): Promise<{ replicable_name: string; asked_because: string | null }[]> {
  return databases
    .tracking('geo_reconciliations')
    .whereNotNull('asked_at')
    .orderBy('replicable_name')
    .select('replicable_name', 'asked_because')
}

async function earlyCount(): Promise<number> {
  return Number((await databases.tracking('geo_early_events').count())[0]?.['count'])
}

describe('Transactions that commit in another order than that of their events', () => {
  it.each([
    { first: 'the older event', olderWritesFirst: true },
    { first: 'the later event, though it began later', olderWritesFirst: false },
  ])('lose nothing where the one held open wrote $first', async ({ olderWritesFirst }) => {
    const { main, tracking } = databases
    await started()
    const open = await main.transaction()
    try {
      const heldId = await addHostRow(open, widgets)
      if (olderWritesFirst) await publish(open, 'widget', 'created', heldId)
      const quickId = await main.transaction(async (trx) => {
        const id = await addHostRow(trx, widgets)
        await publish(trx, 'widget', 'created', id)
        await publish(trx, 'widget', 'updated', id)
        return id
      })
      if (!olderWritesFirst) await publish(open, 'widget', 'created', heldId)
      await databases.caughtUp()

      const before = await loadCursor(tracking, SITE)
      const followed = await follow()
      expect(followed).toMatchObject({ early: 2, consumed: { sync: true } })
      expect(await registeredIds(tracking, widgets)).toEqual([quickId])
      expect(await loadCursor(tracking, SITE)).toEqual(before)

      // Were the update applied a second time, it would put the row back to pending.
      await tracking('widget_registry').update({ state: SYNC_STATE.synced })
      expect(await follow()).toMatchObject({ early: 2, more: false, consumed: { sync: false } })
      await open.commit()
      await followToEnd()
      expect(await registeredIds(tracking, widgets)).toEqual([heldId, quickId].sort((a, b) => Number(a) - Number(b)))
      expect(await registryRow(tracking, widgets, quickId)).toMatchObject({ state: SYNC_STATE.synced })
      expect(await registryRow(tracking, widgets, heldId)).toMatchObject({ state: SYNC_STATE.pending })
      expect(await earlyCount()).toBe(0)
    } finally {
      if (!open.isCompleted()) await open.rollback()
    }
  })

  it('leave nothing behind where the one held open is rolled back', async () => {
    const { main, tracking } = databases
    await started()
    const open = await main.transaction()
    await publish(open, 'widget', 'created', await addHostRow(open, widgets))
    const quickId = await addHostRow(main, widgets)
    await publish(main, 'widget', 'created', quickId)
    await databases.caughtUp()
    await follow()
    await open.rollback()
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([quickId])
    expect(await earlyCount()).toBe(0)
  })
})

it('A look at the log shows an event early once, and again when its turn has come', async () => {
  const { main, standby, tracking } = databases
  await started()
  const before = await loadCursor(tracking, SITE)
  if (!before) throw new Error('A site that has started has a position')
  const older = await main.transaction()
  const look = async (handledEarly: readonly string[] | null) =>
    (await readEvents(standby, before, handledEarly, 10)).map(({ id, settled }) => [id, settled])
  try {
    await older.raw('select pg_current_xact_id()')
    await publish(main, 'widget', 'created', await addHostRow(main, widgets))
    await databases.caughtUp()
    const [[id] = []] = await look([])
    expect(await look([])).toEqual([[id, false]])
    expect(await look([String(id)])).toEqual([])
    expect(await look(null)).toEqual([])
    await older.commit()
    await passed()
    expect(await look([String(id)])).toEqual([[id, true]])
    expect(await look(null)).toEqual([[id, true]])
  } finally {
    if (!older.isCompleted()) await older.rollback()
  }
})

describe('The first start', () => {
  it('begins at the horizon and asks for a reconciliation of what came before', async () => {
    const { main, tracking } = databases
    await publish(main, 'widget', 'created', await addHostRow(main, widgets))
    await passed()
    await follow()
    expect(await reconciliationsAsked()).toEqual([
      { replicable_name: 'gadget', asked_because: null },
      { replicable_name: 'widget', asked_because: null },
    ])
    await tracking('geo_reconciliations').delete()
    const id = await addHostRow(main, widgets)
    await publish(main, 'widget', 'created', id)
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([id])
    expect(await reconciliationsAsked()).toEqual([])
  })

  it('does not miss a transaction that is open at that moment', async () => {
    const { main, tracking } = databases
    const open = await main.transaction()
    const id = await addHostRow(open, widgets)
    await publish(open, 'widget', 'created', id)
    await databases.caughtUp()
    await follow()
    await open.commit()
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([id])
  })
})

describe('A batch of events', () => {
  it('may be one of many, across ids that sort otherwise as text', async () => {
    const { main, tracking } = databases
    await main.raw("select setval('geo_events_id_seq', 900)")
    await started()
    const { rows } = await main.raw(
      `insert into widgets (name, file_path) select 'w', 'f' || n from generate_series(1, 1300) n returning id::text`,
    )
    await publish(main, 'widget', 'created', ...rows.map((row: { id: string }) => row.id))
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toHaveLength(1300)
  })

  it('changes nothing when it is applied a second time', async () => {
    const { main, tracking } = databases
    await started()
    const [created, updated, gone, summed] = [
      await addHostRow(main, widgets),
      await addHostRow(main, widgets),
      '900',
      await addHostRow(main, widgets),
    ]
    for (const id of [updated, gone, summed]) await addRegistryRow(tracking, widgets, id, { state: SYNC_STATE.synced })
    await publish(main, 'widget', 'created', created)
    await publish(main, 'widget', 'updated', updated)
    await publish(main, 'widget', 'deleted', gone)
    await publish(main, 'widget', 'checksum_succeeded', summed)
    const cursor = await tracking('geo_event_cursors').first()
    await followToEnd()
    const once = await registryRows(tracking, widgets)
    await tracking('geo_event_cursors').update(cursor)
    await followToEnd()
    expect(await registryRows(tracking, widgets)).toEqual(once)
    expect(once).toHaveLength(4)
  })

  it('is applied whole or not at all, and again after a crash', async () => {
    const { main, tracking } = databases
    await started()
    const id = await addHostRow(main, widgets)
    await main.transaction(async (trx) => {
      await publish(trx, 'widget', 'created', id)
      await publish(trx, 'gizmo', 'created', '1')
    })
    await passed()
    const before = await loadCursor(tracking, SITE)
    const crash = () => {
      throw new Error('killed')
    }
    await expect(follow({ logger: { ...logger, warn: crash } })).rejects.toThrow('killed')
    expect(await registeredIds(tracking, widgets)).toEqual([])
    expect(await loadCursor(tracking, SITE)).toEqual(before)
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([id])
  })

  it('that comes early is forgotten by a crash, and comes again', async () => {
    const { main, tracking } = databases
    await started()
    const open = await main.transaction()
    await addHostRow(open, widgets)
    const id = await addHostRow(main, widgets)
    await publish(main, 'widget', 'created', id)
    await publish(main, 'gizmo', 'created', '1')
    await databases.caughtUp()
    const crash = () => {
      throw new Error('killed')
    }
    await expect(follow({ logger: { ...logger, warn: crash } })).rejects.toThrow('killed')
    expect(await earlyCount()).toBe(0)
    expect(await registeredIds(tracking, widgets)).toEqual([])
    await follow()
    await open.rollback()
    expect(await registeredIds(tracking, widgets)).toEqual([id])
  })
})

describe('Another database behind the replica', () => {
  it.each([
    ['timeline', 99],
    ['system_identifier', '42'],
  ])('is known by its %s: all events are read again, and all is reconciled', async (column, value) => {
    const { main, tracking } = databases
    const id = await addHostRow(main, widgets)
    await publish(main, 'widget', 'created', id)
    await passed()
    await started()
    await tracking('geo_event_cursors').update({ [column]: value })
    await tracking('geo_early_events').insert({ event_id: '77', xact_id: '77' })
    await followToEnd()
    expect((await reconciliationsAsked()).map((asked) => asked.asked_because)).toEqual([
      'ANOTHER_TIMELINE',
      'ANOTHER_TIMELINE',
    ])
    expect(await registeredIds(tracking, widgets)).toEqual([id])
    expect(await earlyCount()).toBe(0)
    expect(await tracking('geo_event_cursors').where({ [column]: value })).toEqual([])
  })
})

describe('An event that means nothing here', () => {
  it('is skipped with a line in the log, and holds up no other', async () => {
    const { main, tracking } = databases
    await started()
    const id = await addHostRow(main, widgets)
    await publish(main, 'gizmo', 'created', '1')
    await publish(main, 'widget', 'created', 'seven')
    await publish(main, 'gadget', 'created', '7')
    await main('geo_events').insert([
      { replicable_name: 'widget', event_name: 'created', payload: '{}' },
      { replicable_name: 'widget', event_name: 'renamed', payload: JSON.stringify({ model_record_id: id }) },
      { replicable_name: 'widget', event_name: 'toString', payload: JSON.stringify({ model_record_id: id }) },
    ])
    await publish(main, 'widget', 'created', id)
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([id])
    expect(await registeredIds(tracking, gadgets)).toEqual([])
    const codes = logger.codes()
    expect(codes.filter((code) => code === 'UNKNOWN_REPLICABLE')).toHaveLength(1)
    expect(codes.filter((code) => code === 'INVALID_REQUEST')).toHaveLength(5)
  })
})

describe('What an event does to the registry', () => {
  const failed = { state: SYNC_STATE.failed, retry_count: 3, verification_state: VERIFICATION_STATE.succeeded }
  beforeEach(started)

  it('created adds a row for a record with a file, and none for one without', async () => {
    const { main, tracking } = databases
    const id = await addHostRow(main, widgets)
    const without = await addHostRow(main, widgets, { filePath: null })
    await publish(main, 'widget', 'created', id, without, '12345')
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([id])
    expect(await registryRow(tracking, widgets, id)).toMatchObject({ state: 0, verification_state: 0, retry_count: 0 })
  })

  it('created leaves the row of an immutable blob as it is and fetches a mutable one again', async () => {
    const { main, tracking } = databases
    const id = await addHostRow(main, gadgets, { id: randomUUID() })
    await addRegistryRow(tracking, gadgets, id, failed)
    await publish(main, 'gadget', 'created', id.toUpperCase())
    await followToEnd()
    expect(await registryRow(tracking, gadgets, id)).toMatchObject(failed)
    await publish(main, 'gadget', 'created', id)
    await passed()
    await until(async () => {
      await follow({ replicables: new Map([['gadget', mutableGadgets]]) })
      return (await unread()) === 0
    })
    expect(await registryRow(tracking, gadgets, id)).toMatchObject({
      state: SYNC_STATE.pending,
      retry_count: 0,
      verification_state: VERIFICATION_STATE.disabled,
    })
  })

  it('updated puts the row back to pending', async () => {
    const { main, tracking } = databases
    const id = await addHostRow(main, widgets)
    await addRegistryRow(tracking, widgets, id, { ...failed, retry_at: tracking.fn.now() })
    await publish(main, 'widget', 'updated', id)
    await followToEnd()
    expect(await registryRow(tracking, widgets, id)).toMatchObject({
      state: SYNC_STATE.pending,
      retry_count: 0,
      retry_at: null,
      verification_state: VERIFICATION_STATE.disabled,
    })
  })

  it('deleted asks for the removal of a row that is gone and keeps one that exists again', async () => {
    const { main, tracking } = databases
    const again = await addHostRow(main, widgets)
    for (const id of ['900', again]) await addRegistryRow(tracking, widgets, id, { state: SYNC_STATE.synced })
    await publish(main, 'widget', 'deleted', '900', again)
    await followToEnd()
    expect(await registryRow(tracking, widgets, '900')).toMatchObject({ removal_requested_at: expect.any(Date) })
    expect(await registryRow(tracking, widgets, again)).toMatchObject({
      removal_requested_at: null,
      // Its file may be another.
      state: SYNC_STATE.pending,
    })
  })

  it('checksum_succeeded wakes the verification of a row, and adds none', async () => {
    const { main, tracking } = databases
    const known = await addHostRow(main, widgets)
    const unknown = await addHostRow(main, widgets)
    await addRegistryRow(tracking, widgets, known, {
      state: SYNC_STATE.synced,
      verification_state: VERIFICATION_STATE.disabled,
    })
    await publish(main, 'widget', 'checksum_succeeded', known, unknown)
    await followToEnd()
    expect(await registeredIds(tracking, widgets)).toEqual([known])
    expect(await registryRow(tracking, widgets, known)).toMatchObject({
      state: SYNC_STATE.synced,
      verification_state: VERIFICATION_STATE.pending,
    })
  })

  it.each([widgets, gadgets])(
    'checksum_succeeded leaves a $name alone that was verified by that checksum',
    async (type) => {
      const { main, tracking } = databases
      const [recorded, earlier] = ['01aa', '01bb'].map((hex) => Buffer.from(hex, 'hex'))
      const succeeded = { verification_state: VERIFICATION_STATE.succeeded }
      const copies: [object, number][] = [
        [{ state: SYNC_STATE.synced, verification_checksum: recorded }, VERIFICATION_STATE.succeeded],
        [{ state: SYNC_STATE.synced, verification_checksum: earlier }, VERIFICATION_STATE.pending],
        // Its file is on its way: whoever brings it looks at the checksum then.
        [{ state: SYNC_STATE.started, verification_checksum: earlier }, VERIFICATION_STATE.succeeded],
      ]
      const ids: string[] = []
      for (const [copy] of copies) {
        const id = await addRecord(main, type, 'some/file', { ...succeeded, verification_checksum: recorded })
        await addRegistryRow(tracking, type, id, { ...succeeded, ...copy })
        ids.push(id)
      }
      await publish(main, type.name as 'widget' | 'gadget', 'checksum_succeeded', ...ids)
      await followToEnd()
      const states = await Promise.all(ids.map((id) => registryRow(tracking, type, id)))
      expect(states.map((row) => row?.verification_state)).toEqual(copies.map(([, state]) => state))
    },
  )

  it.each(['CORRUPT_ON_PRIMARY', 'FILE_NOT_FOUND', 'CHECKSUM_MISMATCH', 'BLOB_FUNCTION_FAILED'])(
    'checksum_succeeded makes a row due that failed as %s: the primary has the right bytes again',
    async (code) => {
      const { main, tracking } = databases
      const later = new Date(Date.now() + 4 * 3_600_000)
      const waiting = { ...failed, error_code: code, last_sync_failure: 'earlier', retry_at: later }
      const id = await addHostRow(main, widgets)
      await addRegistryRow(tracking, widgets, id, waiting)
      await publish(main, 'widget', 'checksum_succeeded', id)
      await passed()
      let woken = false
      await until(async () => {
        woken = (await follow()).consumed.sync || woken
        return (await unread()) === 0
      })
      expect(woken).toBe(true)
      expect(await registryRow(tracking, widgets, id)).toMatchObject({
        ...waiting,
        retry_at: null,
        verification_state: 0,
      })
    },
  )

  it.each([
    ['of the site itself', { error_code: 'STORAGE_FULL' }],
    ['that is to be removed', { error_code: 'FILE_NOT_FOUND', removal_requested_at: new Date(0) }],
    ['that is worked at this moment', { error_code: 'FILE_NOT_FOUND', state: SYNC_STATE.started }],
  ])('checksum_succeeded leaves the retry of a row alone %s', async (_, columns) => {
    const { main, tracking } = databases
    const retry_at = new Date(Date.now() + 3_600_000)
    const id = await addHostRow(main, widgets)
    await addRegistryRow(tracking, widgets, id, { ...failed, retry_at, ...columns })
    await publish(main, 'widget', 'checksum_succeeded', id)
    await followToEnd()
    expect(await registryRow(tracking, widgets, id)).toMatchObject({ retry_at, retry_count: 3 })
  })

  it('created takes back a removal that was not carried out yet', async () => {
    const { main, tracking } = databases
    const id = await addHostRow(main, widgets)
    await addRegistryRow(tracking, widgets, id, {
      state: SYNC_STATE.synced,
      removal_requested_at: tracking.fn.now(),
    })
    await publish(main, 'widget', 'created', id)
    await followToEnd()
    expect(await registryRow(tracking, widgets, id)).toMatchObject({
      removal_requested_at: null,
      state: SYNC_STATE.pending,
    })
  })
})
