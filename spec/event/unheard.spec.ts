import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clusterIdentity, type StoredCursor } from '../../lib/event/cursor.ts'
import { type EventName, insertEvents } from '../../lib/event/event-log.ts'
import { countUnheard, unheardRecords } from '../../lib/event/unheard.ts'
import { loadNodeStatuses, storeReport } from '../../lib/node-status-table.ts'
import { listSites } from '../../lib/site-table.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites } from '../support/fixture-rows.ts'

let databases: SpecDatabases
let main: Knex
beforeAll(async () => {
  databases = await createSpecDatabases()
  main = databases.main
  await addSites(main, 'paris')
})
afterAll(() => databases.destroy())
beforeEach(() => main('geo_events').delete())

/** One event in a transaction of its own. Returns its place in the log. */
async function publish(name: EventName, recordId: string, type = 'widget'): Promise<StoredCursor> {
  await insertEvents(main, type, name, [{ recordId }])
  const last = await main('geo_events').orderBy('id', 'desc').first()
  return { xactId: String(last.xact_id), eventId: String(last.id), ...(await clusterIdentity(main)) }
}

const ALL = { types: ['widget', 'gadget'], limit: 100 }
const lost = async (position: StoredCursor | null, asked = ALL) =>
  (await unheardRecords(main, position, asked)).map(({ type, recordId, event }) => `${event} ${type} ${recordId}`)

describe('What a secondary has not heard', () => {
  it('is nothing of nothing', async () => {
    expect(await unheardRecords(main, null, ALL)).toEqual([])
    expect(await countUnheard(main, null, 100)).toBe(0)
  })

  it('is each record behind the position that it told, with the newest of its events, the oldest first', async () => {
    await publish('created', '1')
    const heard = await publish('created', '2')
    await publish('created', '3')
    await publish('updated', '2')
    const last = await publish('updated', '3')
    await publish('deleted', '1', 'gadget')
    const paris = (await listSites(main)).find(({ name }) => name === 'paris')
    await storeReport(main, String(paris?.id), heard, null)
    const position = (await loadNodeStatuses(main)).get(String(paris?.id))?.position ?? null

    expect(await lost(position)).toEqual(['updated widget 2', 'updated widget 3', 'deleted gadget 1'])
    expect(await countUnheard(main, position, 100)).toBe(3)
    const [, third] = await unheardRecords(main, position, ALL)
    expect(third).toMatchObject({ eventId: last.eventId, at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) })
  })

  it('is nothing once it has read the last', async () => {
    await publish('created', '1')
    const position = await publish('updated', '1')
    expect(await lost(position)).toEqual([])
    expect(await countUnheard(main, position, 100)).toBe(0)
  })

  it('is ordered and cut by transaction before id, as the log is read', async () => {
    const first = await publish('created', '1')
    const second = await publish('created', '2')
    // Written by an older transaction than the first, as by one that stayed open.
    await main('geo_events')
      .where({ id: second.eventId })
      .update({ xact_id: main.raw('(?::xid8::text::bigint - 1)::text::xid8', [first.xactId]) })
    expect(await lost(null)).toEqual(['created widget 2', 'created widget 1'])
    expect(await lost(first)).toEqual([])
  })

  it('is all that is kept where it has told nothing, or in the numbers of another cluster or timeline', async () => {
    const position = await publish('created', '1')
    expect(await lost(null)).toHaveLength(1)
    expect(await lost({ ...position, systemIdentifier: 'another' })).toHaveLength(1)
    expect(await lost({ ...position, timeline: position.timeline + 1 })).toHaveLength(1)
    expect(await countUnheard(main, { ...position, systemIdentifier: 'another' }, 100)).toBe(1)
  })

  it('is no checksum, which changes no file', async () => {
    const position = await publish('created', '1')
    await publish('checksum_succeeded', '1')
    expect(await lost(position)).toEqual([])
    expect(await countUnheard(main, position, 100)).toBe(0)
    expect(await lost(null)).toEqual(['created widget 1'])
  })

  it('is of the types that are asked for, no more than are asked for, and counted to one beyond', async () => {
    for (const id of ['1', '2', '3']) await publish('created', id)
    await publish('created', '1', 'gadget')
    expect(await lost(null, { types: ['gadget'], limit: 5 })).toEqual(['created gadget 1'])
    expect(await lost(null, { ...ALL, limit: 2 })).toEqual(['created widget 1', 'created widget 2'])
    expect(await unheardRecords(main, null, { limit: 9 })).toHaveLength(4)
    expect(await countUnheard(main, null, 2)).toBe(3)
  })
})
