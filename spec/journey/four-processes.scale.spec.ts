import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LEASE_MS } from '../../lib/lease.ts'
import { deliveries } from '../support/deliveries.ts'
import { createManyWorkers, type ManyWorkers } from '../support/many-workers.ts'
import { until } from '../support/until.ts'

const CAPACITY = 5
const ROWS = 20_000
const WORKERS = 4

describe('Four processes on one tracking database and 20,000 rows', () => {
  let site: ManyWorkers

  beforeAll(async () => {
    site = await createManyWorkers({ capacity: CAPACITY })
  })
  afterAll(() => site?.close())

  it('deliver each row once and leave none, and never exceed the capacity, also while processes are stopped for longer than their leases', async () => {
    await site.addRows(ROWS)
    const workers = await site.start(WORKERS)
    const synced = site.untilSynced(ROWS, 600_000)
    const untilDelivered = (rows: number) =>
      until(async () => (await deliveries(site.sites.databases.tracking)).rows >= rows, 300_000)
    for (const [position, { child }] of workers.slice(0, 2).entries()) {
      await untilDelivered(1000 * (position + 1))
      child.kill('SIGSTOP')
    }
    await sleep(LEASE_MS + 5000)
    for (const { child } of workers.slice(0, 2)) child.kill('SIGCONT')
    for (const { child } of workers) {
      child.kill('SIGSTOP')
      await sleep(1000)
      child.kill('SIGCONT')
    }
    await synced
    // What the resumed processes would do wrongly they would do soon.
    await sleep(3000)

    const outcome = await site.outcome()
    const askedTwice = [...site.proxy.askedFor.values()].filter((times) => times > 1).length
    console.log({ ...outcome, mostOpen: site.proxy.mostOpen, askedTwice })
    expect(outcome.deliveries).toEqual({ rows: ROWS, mostOften: 1 })
    expect(outcome.leases.most).toBeLessThanOrEqual(CAPACITY)
    expect(site.proxy.mostOpen).toBeLessThanOrEqual(CAPACITY)
    expect(workers.some(({ said }) => said().includes('WORKER_LOST'))).toBe(true)
    // Only what the stopped processes held was asked for again.
    expect(askedTwice).toBeLessThanOrEqual(2 * CAPACITY * 100)
  })
})
