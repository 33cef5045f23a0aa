import { afterAll, beforeAll, expect, it } from 'vitest'
import { databaseState } from '../../lib/failover/preflight.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases?.destroy())

it('Where a server knows of no transaction that it has replayed, the last event says when the last was', async () => {
  const { main } = databases
  expect(await databaseState(main)).toMatchObject({ recovering: false, replayedAt: null })
  const event = { replicable_name: 'widget', event_name: 'created', payload: {} }
  // In the order of transactions, whatever their clocks said.
  await main('geo_events').insert({ ...event, xact_id: '20', created_at: '2026-01-02T03:04:05.678901Z' })
  await main('geo_events').insert({ ...event, xact_id: '10', created_at: '2026-01-03T00:00:00Z' })
  expect(await databaseState(main)).toMatchObject({ replayedAt: '2026-01-02T03:04:05.678Z' })
})

it('A replica goes by what it has replayed', async () => {
  const { main, standby } = databases
  await databases.caughtUp()
  const { recovering, replayedAt } = await databaseState(standby)
  expect(recovering).toBe(true)
  const { rows } = await main.raw(
    `select now() - ?::timestamptz between interval '0' and interval '1 hour' as recent`,
    [replayedAt],
  )
  expect(rows).toEqual([{ recent: true }])
})
