import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createManyWorkers, type ManyWorkers } from '../support/many-workers.ts'

const CAPACITY = 5
const ROWS = 2000
const WORKERS = 4

describe('Four processes on one tracking database', { timeout: 180_000 }, () => {
  let site: ManyWorkers

  beforeAll(async () => {
    site = await createManyWorkers({ capacity: CAPACITY })
  }, 120_000)
  afterAll(() => site?.close(), 60_000)

  it('work no row twice and leave none, and never exceed the capacity, also while they are stopped and resumed', async () => {
    const ids = await site.addRows(ROWS)
    const workers = await site.start(WORKERS)
    const synced = site.untilSynced(ROWS, 150_000)
    // Shorter than a lease: each goes on where it was stopped.
    for (const { child } of workers) {
      child.kill('SIGSTOP')
      await sleep(300)
      child.kill('SIGCONT')
    }
    await synced

    const { deliveries, leases } = await site.outcome()
    expect(deliveries).toEqual({ rows: ROWS, mostOften: 1 })
    const asked = ids.map((id) => site.proxy.askedFor.get(id))
    expect(asked).toEqual(ids.map(() => 1))
    expect(leases.most).toBeLessThanOrEqual(CAPACITY)
    expect(leases.count).toBeGreaterThan(100)
    expect(site.proxy.mostOpen).toBeLessThanOrEqual(CAPACITY)
    expect(site.proxy.mostOpen).toBeGreaterThan(1)
  })
})
