import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Leases } from '../lib/lease.ts'
import { whileRenewing } from '../lib/renewal.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { recordingLogger } from './support/recording-logger.ts'
import { until } from './support/until.ts'

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

it('Leases are renewed while a command works, and not longer', async () => {
  const { main } = databases
  const clock = new ManualClock()
  const leases = new Leases(randomUUID(), clock)
  const expiry = async () => (await main('geo_leases').first()).expires_at.getTime()
  await whileRenewing(leases, main, { clock, logger: recordingLogger() }, async () => {
    const id = await main.transaction((trx) => leases.acquire(trx, { kind: 'spec', capacity: 1 }))
    leases.keep(String(id), clock.monotonicMs())
    const before = await expiry()
    await until(async () => {
      clock.advance(1000)
      return (await expiry()) > before
    })
  })
  expect(clock.sleepingMs).toEqual([])
})
