import { afterAll, beforeAll, expect, it } from 'vitest'
import { insertEvents } from '../../lib/event/event-log.ts'
import { unarrivedAtAny } from '../../lib/failover/unarrived.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites } from '../support/fixture-rows.ts'

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases?.destroy())

it('What had not arrived is not hidden by one site that says that all had', async () => {
  const { main } = databases
  await addSites(main, 'paris')
  for (const recordId of ['1', '2']) await insertEvents(main, 'widget', 'created', [{ recordId }])
  const [first, second] = await main('geo_events').orderBy('id').pluck('xact_id')
  const said = (arrivedBelow: string, arrivedXactIds: string[] = []) => ({
    arrivedBelow,
    arrivedXactIds,
    formerSiteName: 'rome',
  })
  const unarrived = async (...all: ReturnType<typeof said>[]) => {
    const { records, incomplete } = await unarrivedAtAny(main, new Map(), 'rome', all)
    return { ids: records.map(({ id }) => id).sort(), incomplete }
  }
  expect(await unarrived(said(second))).toEqual({ ids: ['2'], incomplete: false })
  expect(await unarrived(said('18446744073709551615'))).toEqual({ ids: [], incomplete: false })
  expect(await unarrived(said('18446744073709551615'), said(second))).toEqual({ ids: ['2'], incomplete: false })
  // Each says of another that it had arrived.
  expect(await unarrived(said(first, [first]), said(first, [second]))).toMatchObject({ ids: ['1', '2'] })
})
