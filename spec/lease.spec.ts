import { randomUUID } from 'node:crypto'
import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LEASE_MS, type Lease, Leases } from '../lib/lease.ts'
import { type EndedLease, endDeadLeases, endLeasesOf } from '../lib/other-leases.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { connectImpatiently } from './support/impatient.ts'

const SYNC = { kind: 'sync', capacity: 3 }

let databases: SpecDatabases
let clock: ManualClock

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  clock = new ManualClock()
  await databases.tracking('geo_leases').delete()
})

const holder = () => new Leases(randomUUID(), clock)
const acquire = (leases: Leases, db: Knex = databases.tracking, request = SYNC) =>
  db.transaction((trx) => leases.acquire(trx, request))
const hold = (leases: Leases, lease: Lease) => databases.tracking.transaction((trx) => leases.hold(trx, lease))

async function keptLease(leases: Leases): Promise<Lease> {
  return leases.keep(String(await acquire(leases)), clock.monotonicMs())
}

/** The database's clock cannot be turned, so the lease is made older. */
function expire(lease: Lease): Promise<unknown> {
  return databases
    .tracking('geo_leases')
    .where({ id: lease.id })
    .update({ expires_at: databases.tracking.raw("clock_timestamp() - interval '1 ms'") })
}

async function secondsLeft(lease: Lease): Promise<number> {
  const { rows } = await databases.tracking.raw(
    'select extract(epoch from expires_at - clock_timestamp())::float8 as seconds from geo_leases where id = ?',
    [lease.id],
  )
  return rows[0].seconds
}

describe('Capacity', () => {
  it('is never exceeded, however many ask at once, each on a connection of its own', async () => {
    const pool = createKnex({ client: 'pg', connection: databases.trackingUrl, pool: { min: 0, max: 30 } })
    try {
      const all = Array.from({ length: 30 }, holder)
      const given = await Promise.all(all.map((leases) => acquire(leases, pool)))
      expect(given.filter((id) => id !== null)).toHaveLength(SYNC.capacity)
      expect(await databases.tracking('geo_leases')).toHaveLength(SYNC.capacity)

      await databases
        .tracking('geo_leases')
        .where({ id: given.find((id) => id !== null) })
        .delete()
      const more = await Promise.all(all.map((leases) => acquire(leases, pool)))
      expect(more.filter((id) => id !== null)).toHaveLength(1)
    } finally {
      await pool.destroy()
    }
  })

  it('is counted apart for each kind, in leases that live', async () => {
    const leases = holder()
    const lease = await keptLease(leases)
    await keptLease(leases)
    await keptLease(leases)
    expect(await acquire(leases)).toBeNull()
    expect(await acquire(leases, databases.tracking, { kind: 'removal', capacity: 1 })).not.toBeNull()
    await expire(lease)
    expect(await acquire(leases)).not.toBeNull()
  })

  it('of nothing gives nothing', async () => {
    expect(await acquire(holder(), databases.tracking, { kind: 'sync', capacity: 0 })).toBeNull()
  })

  it('is not used up by a claim that found nothing, nor by one that failed', async () => {
    const leases = holder()
    expect(await leases.claim(databases.tracking, SYNC, 'widget', async () => [])).toBeNull()
    const failing = leases.claim(databases.tracking, SYNC, 'widget', async () => {
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await databases.tracking('geo_leases')).toEqual([])
  })
})

describe('A claim', () => {
  it('notes in the lease which records it is for', async () => {
    const leases = holder()
    const claimed = await leases.claim(databases.tracking, SYNC, 'widget', async () => [{ id: '4' }, { id: '5' }])
    expect(claimed?.rows).toEqual([{ id: '4' }, { id: '5' }])
    expect(await databases.tracking('geo_leases')).toMatchObject([
      { id: claimed?.lease.id, kind: 'sync', replicable_name: 'widget', record_ids: ['4', '5'], holder: leases.holder },
    ])
  })

  it('marks nothing where the capacity is used up', async () => {
    let asked = false
    const none = await holder().claim(databases.tracking, { kind: 'sync', capacity: 0 }, 'widget', async () => {
      asked = true
      return [{ id: '1' }]
    })
    expect([none, asked]).toEqual([null, false])
  })
})

describe('The heartbeat', () => {
  it('renews the leases of its process, on both clocks', async () => {
    const leases = holder()
    const lease = await keptLease(leases)
    await databases.tracking('geo_leases').update({
      expires_at: databases.tracking.raw("clock_timestamp() + interval '3 seconds'"),
    })
    clock.advance(17_000)
    await leases.heartbeat(databases.tracking)
    expect(await secondsLeft(lease)).toBeGreaterThan(LEASE_MS / 1000 - 2)
    clock.advance(17_000)
    leases.cutExpiring()
    expect(lease.signal.aborted).toBe(false)
  })

  it('aborts what runs under a lease that has ended, and does not bring it back', async () => {
    const leases = holder()
    const [lost, living] = [await keptLease(leases), await keptLease(leases)]
    await expire(lost)
    await leases.heartbeat(databases.tracking)
    expect(lost.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
    expect(living.signal.aborted).toBe(false)
    expect(await secondsLeft(lost)).toBeLessThanOrEqual(0)
  })

  it('renews also what its process is committing at this moment', async () => {
    const leases = holder()
    const [committing, other] = [await keptLease(leases), await keptLease(leases)]
    await databases.tracking.transaction(async (trx) => {
      expect(await leases.hold(trx, committing)).toBe(true)
      await databases.tracking('geo_leases').update({
        expires_at: databases.tracking.raw("clock_timestamp() + interval '3 seconds'"),
      })
      await leases.heartbeat(databases.tracking)
    })
    for (const lease of [committing, other]) expect(await secondsLeft(lease)).toBeGreaterThan(LEASE_MS / 1000 - 2)
  })

  it('leaves the leases of others alone', async () => {
    const mine = holder()
    const others = await keptLease(holder())
    await keptLease(mine)
    await databases.tracking('geo_leases').update({
      expires_at: databases.tracking.raw("clock_timestamp() + interval '5 seconds'"),
    })
    await mine.heartbeat(databases.tracking)
    expect(await secondsLeft(others)).toBeLessThanOrEqual(5)
  })

  it("does not take another's lease for its own where it has the number, as in the database of a promoted site", async () => {
    const [mine, others] = [holder(), await keptLease(holder())]
    const taken = mine.keep(others.id, clock.monotonicMs())
    await databases.tracking('geo_leases').update({
      expires_at: databases.tracking.raw("clock_timestamp() + interval '5 seconds'"),
    })
    await mine.heartbeat(databases.tracking)
    expect(taken.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
    expect(await secondsLeft(others)).toBeLessThanOrEqual(5)
  })

  it('no longer renews what was forgotten', async () => {
    const leases = holder()
    const lease = await keptLease(leases)
    leases.forget(lease)
    await expire(lease)
    await leases.heartbeat(databases.tracking)
    expect(lease.signal.aborted).toBe(false)
  })
})

describe('cutExpiring', () => {
  it('aborts before the lease can end, and not a moment sooner', async () => {
    const leases = holder()
    const lease = await keptLease(leases)
    clock.advance(LEASE_MS - 2001)
    leases.cutExpiring()
    expect(lease.signal.aborted).toBe(false)
    clock.advance(1)
    leases.cutExpiring()
    expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
  })

  it('counts from before the lease was asked for', async () => {
    const leases = holder()
    const claimed = await leases.claim(databases.tracking, SYNC, 'widget', async () => {
      clock.advance(LEASE_MS)
      return [{ id: '1' }]
    })
    leases.cutExpiring()
    expect(claimed?.lease.signal.aborted).toBe(true)
  })

  it('counts from before a renewal was asked for, however long its answer took', async () => {
    const leases = holder()
    const lease = await keptLease(leases)
    const renewed = leases.heartbeat(databases.tracking)
    clock.advance(4000)
    await renewed
    clock.advance(LEASE_MS - 4000 - 2000)
    leases.cutExpiring()
    expect(lease.signal.aborted).toBe(true)
  })
})

describe('Work whose lease was cut', () => {
  const away = createKnex({ client: 'pg', connection: { host: '127.0.0.1', port: 1 } })
  afterAll(() => away.destroy())

  /** Works until its lease is cut; returns what is abandoned then. */
  async function cutAfter(meanwhile: (leases: Leases) => Promise<unknown>): Promise<readonly string[]> {
    const leases = holder()
    const lease = await keptLease(leases)
    await leases.working(lease, async () => {
      await meanwhile(leases)
      clock.advance(LEASE_MS)
      leases.cutExpiring()
      expect([lease.signal.aborted, leases.abandoned]).toEqual([true, []])
    })
    return leases.abandoned
  }
  const unanswered = (leases: Leases) => expect(leases.heartbeat(away)).rejects.toMatchObject({ code: 'ECONNREFUSED' })

  it('is abandoned where its database did not answer, once it has ended', async () => {
    expect(await cutAfter(unanswered)).toHaveLength(1)
  })

  it('is not where its process stood still, also after a renewal that was not answered', async () => {
    expect(await cutAfter(async () => undefined)).toEqual([])
    const renewedLater = async (leases: Leases) => {
      await unanswered(leases)
      await leases.heartbeat(databases.tracking)
    }
    expect(await cutAfter(renewedLater)).toEqual([])
  })
})

describe('Work that gives its lease back', () => {
  it.each([
    ['well', async () => 'done'],
    ['with a failure of its own', () => Promise.reject(new Error('The work failed'))],
  ])('does so when it ends %s', async (_, work) => {
    const leases = holder()
    const [ended] = await Promise.allSettled([
      leases.workingAlone(databases.tracking, await keptLease(leases), work as () => Promise<string>),
    ])
    expect(ended).toMatchObject(
      (await work().catch(() => null)) ? { value: 'done' } : { reason: { message: 'The work failed' } },
    )
    expect([await databases.tracking('geo_leases'), leases.abandoned, leases.heldCount]).toEqual([[], [], 0])
  })

  it('says why it failed, also where the lease cannot be given back: that is done later', async () => {
    const away = createKnex({ client: 'pg', connection: { host: '127.0.0.1', port: 1 } })
    const leases = holder()
    const lease = await keptLease(leases)
    const working = leases.workingAlone(away, lease, () => Promise.reject(new Error('The work failed')))
    await expect(working.finally(() => away.destroy())).rejects.toThrow('The work failed')
    expect(leases.abandoned).toEqual([lease.id])
  })
})

describe('hold', () => {
  it('is true for a lease that lives', async () => {
    const leases = holder()
    expect(await hold(leases, await keptLease(leases))).toBe(true)
  })

  it.each<[string, (lease: Lease, leases: Leases) => Promise<unknown>]>([
    ['has ended', expire],
    ['was given back', (lease, leases) => leases.release(databases.tracking, lease)],
    ['was cut', async (_, leases) => leases.cutAll()],
  ])('is false for a lease that %s', async (_, end) => {
    const leases = holder()
    const lease = await keptLease(leases)
    await end(lease, leases)
    expect(await hold(leases, lease)).toBe(false)
  })
})

describe('Leases that were not renewed', () => {
  it('are handed on once, with their records, among many who look', async () => {
    const { tracking } = databases
    await tracking.raw(
      `insert into geo_leases (kind, replicable_name, holder, record_ids, expires_at)
       select 'sync', 'widget', gen_random_uuid(), array[n::text], clock_timestamp() from generate_series(1, 50) n`,
    )
    const living = await keptLease(holder())
    const ended: EndedLease[] = []
    const look = async () =>
      (await endDeadLeases(tracking, ['widget'], async (_, lease) => void ended.push(lease))).count
    const counts = await Promise.all(Array.from({ length: 8 }, look))
    for (let last = -1; last !== 0; last = await look()) counts.push(Math.max(last, 0))
    expect(ended).toHaveLength(50)
    expect(ended.flatMap((lease) => lease.recordIds).sort()).toEqual(
      Array.from({ length: 50 }, (_, n) => String(n + 1)).sort(),
    )
    expect(ended[0]).toMatchObject({ kind: 'sync', replicableName: 'widget' })
    expect(await tracking('geo_leases').select('id')).toEqual([{ id: living.id }])
  })

  it('stay where what they were for could not be handed on', async () => {
    const lease = await keptLease(holder())
    await expire(lease)
    const other = await keptLease(holder())
    await expire(other)
    const failure = new Error('no')
    const end = async (_: unknown, { id }: EndedLease) => {
      if (id === lease.id) throw failure
    }
    expect(await endDeadLeases(databases.tracking, ['widget'], end)).toEqual({ count: 1, failures: [failure] })
    expect(await databases.tracking('geo_leases').pluck('id')).toEqual([lease.id])
  })

  it('are skipped while their holder commits its work', async () => {
    const leases = holder()
    const lease = await keptLease(leases)
    await databases.tracking.transaction(async (trx) => {
      expect(await leases.hold(trx, lease)).toBe(true)
      // By another connection: what the transaction itself writes nobody would see.
      await expire(lease)
      const impatient = connectImpatiently(databases.trackingUrl)
      const looked = endDeadLeases(impatient, ['widget'], async () => undefined).finally(() => impatient.destroy())
      expect(await looked).toEqual({ count: 0, failures: [] })
    })
    expect(await endDeadLeases(databases.tracking, ['widget'], async () => undefined)).toMatchObject({ count: 1 })
  })

  it('are found behind twenty that cannot be handed on', async () => {
    const { tracking } = databases
    const leases = holder()
    await tracking.raw(
      `insert into geo_leases (kind, replicable_name, holder, record_ids, expires_at)
       select 'sync', 'widget', ?::uuid, array[n::text], clock_timestamp() from generate_series(1, 50) n`,
      [leases.holder],
    )
    const end = async (_: unknown, { recordIds }: EndedLease) => {
      if (Number(recordIds[0]) <= 25) throw new Error('no')
    }
    const { count, failures } = await endDeadLeases(tracking, ['widget'], end)
    expect([count, failures.length]).toEqual([25, 25])
    await expect(endLeasesOf(tracking, leases.holder, end)).rejects.toThrow('no')
    expect(await tracking('geo_leases')).toHaveLength(25)
  })

  it('stay where they are for a type that this process does not know: it would not free its rows', async () => {
    const ofAnother = await holder().claim(databases.tracking, SYNC, 'video', async () => [{ id: '1' }])
    const job = await keptLease(holder())
    await databases.tracking('geo_leases').update({ expires_at: '2000-01-01' })
    const ended: string[] = []
    await endDeadLeases(databases.tracking, ['widget'], async (_, { id }) => void ended.push(id))
    expect(ended).toEqual([job.id])
    expect(await databases.tracking('geo_leases').pluck('id')).toEqual([ofAnother?.lease.id])
  })
})

it('A holder that stops gives back all of its leases, and only its own', async () => {
  const [mine, other] = [holder(), holder()]
  await databases.tracking.raw(
    `insert into geo_leases (kind, holder, expires_at)
     select 'sync', ?::uuid, clock_timestamp() + interval '1 minute' from generate_series(1, 45)`,
    [mine.holder],
  )
  const kept = await acquire(other, databases.tracking, { kind: 'removal', capacity: 1 })
  let given = 0
  await endLeasesOf(databases.tracking, mine.holder, async () => {
    given += 1
  })
  expect(given).toBe(45)
  expect(await databases.tracking('geo_leases').select('id')).toEqual([{ id: kept }])
})
