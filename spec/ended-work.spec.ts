import { randomUUID } from 'node:crypto'
import createKnex from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { EndedWork } from '../lib/ended-work.ts'
import { Leases } from '../lib/lease.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { untyped } from './support/fixture-rows.ts'
import { recordingLogger } from './support/recording-logger.ts'

const widgets = untyped(declareReplicables('unused').widgets)
const SYNC = { kind: 'sync', capacity: 100 }
/** Where nobody listens. */
const away = createKnex({ client: 'pg', connection: { host: '127.0.0.1', port: 1 } })

let databases: SpecDatabases
let clock: ManualClock
let ended: Record<'died' | 'stopped', string[]>

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(async () => {
  await away.destroy()
  await databases.destroy()
})
beforeEach(async () => {
  clock = new ManualClock()
  ended = { died: [], stopped: [] }
  await databases.tracking('geo_leases').delete()
})

const holder = () => new Leases(randomUUID(), clock)
const said = (code: string) => Object.assign(new Error('refused'), { code, severity: 'FATAL' })

function endedWorkOf(leases: Leases, endStopped = async (id: string) => void ended.stopped.push(id)): EndedWork {
  return new EndedWork({
    leases,
    clock,
    logger: recordingLogger(),
    replicables: new Map([['widget', widgets]]),
    endDied: async (_, { id }) => void ended.died.push(id),
    endStopped: (_, { id }) => endStopped(id),
  })
}

async function leaseOf(leases: Leases): Promise<string> {
  const claimed = await leases.claim(databases.tracking, SYNC, 'widget', async () => [{ id: '1' }])
  if (!claimed) throw new Error('There was no lease to be had')
  return claimed.lease.id
}

/** Of a process that has gone, or has lost its database: it was not renewed. */
async function expiredLease(): Promise<string> {
  const id = await leaseOf(holder())
  await expire([id])
  return id
}

function expire(ids: readonly string[]): Promise<unknown> {
  const past = databases.tracking.raw("clock_timestamp() - interval '1 ms'")
  return databases.tracking('geo_leases').whereIn('id', ids).update({ expires_at: past })
}

async function abandonedLease(leases: Leases): Promise<string> {
  const lease = await leases.take(databases.tracking, SYNC)
  if (!lease) throw new Error('There was no lease to be had')
  await expect(leases.working(lease, () => Promise.reject(said('57P01')))).rejects.toThrow('refused')
  return lease.id
}

describe('After its database was away', () => {
  it("a process leaves others' leases alone for twelve seconds: they could renew them as little, and end them themselves", async () => {
    const work = endedWorkOf(holder())
    const other = await expiredLease()
    await expect(work.step(away)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    clock.advance(11_999)
    expect([await work.step(databases.tracking), ended.died]).toEqual([false, []])
    clock.advance(1)
    expect([await work.step(databases.tracking), ended.died]).toEqual([true, [other]])
  })

  it('it gives back all that it has abandoned, with nothing said of a loss', async () => {
    const leases = holder()
    const ids: string[] = []
    for (let made = 0; made < 45; made += 1) ids.push(await abandonedLease(leases))
    await expire(ids)
    expect(await endedWorkOf(leases).step(databases.tracking)).toBe(true)
    expect([ended.stopped.toSorted(), ended.died]).toEqual([ids.toSorted(), []])
    expect(leases.abandoned).toEqual([])
  })
})

describe('What cannot be given back now', () => {
  it("keeps nobody from others' work, and is said", async () => {
    const leases = holder()
    const other = await expiredLease()
    await abandonedLease(leases)
    const work = endedWorkOf(leases, () => Promise.reject(said('57014')))
    expect([await work.step(databases.tracking), ended.died]).toEqual([true, [other]])
    await expect(work.step(databases.tracking)).rejects.toMatchObject({ code: '57014' })
    const another = await expiredLease()
    expect([await work.step(databases.tracking), ended.died]).toEqual([true, [other, another]])
  })

  it('waits with all others where it is the database that is away', async () => {
    const leases = holder()
    await abandonedLease(leases)
    await expiredLease()
    const work = endedWorkOf(leases, () => Promise.reject(said('57P01')))
    await expect(work.step(databases.tracking)).rejects.toMatchObject({ code: '57P01' })
    expect(ended.died).toEqual([])
  })
})
