import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventsOf } from '../../lib/event/record-events.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { timedStatements } from '../support/timed-statements.ts'

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases?.destroy())

async function addEvents(count: number, replicableName: string, eventName: string, recordId: string): Promise<void> {
  await databases.main.raw(
    `insert into geo_events (replicable_name, event_name, payload)
     select ?, ?, jsonb_build_object('model_record_id', ?::text) from generate_series(1, ?)`,
    [replicableName, eventName, recordId, count],
  )
}

describe('the events of a record', () => {
  it('are all found, the oldest too, however many of others lie between, and the newest comes first', async () => {
    expect(await eventsOf(databases.main, 'widget', '7')).toEqual([])
    await addEvents(1, 'widget', 'created', '7')
    await addEvents(12_000, 'widget', 'created', '77')
    await addEvents(1, 'gadget', 'deleted', '7')
    await addEvents(1, 'widget', 'updated', '7')
    const statements = await timedStatements([databases.main], async () => {
      const events = await eventsOf(databases.main, 'widget', '7', { blocksPerPage: 50 })
      expect(events.map(({ event }) => event)).toEqual(['updated', 'created'])
      expect(events[0]?.at).toMatch(/^20\d\d-.*Z$/)
    })
    // No statement reads the whole log.
    expect(statements.filter(({ sql }) => sql.includes('model_record_id')).length).toBeGreaterThan(2)
  })
})
