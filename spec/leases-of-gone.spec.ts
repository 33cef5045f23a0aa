import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Leases } from '../lib/lease.ts'
import { type EndedLease, endLeasesOfGone } from '../lib/other-leases.ts'
import { type ProcessIdentity, thisProcess } from '../lib/process-identity.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { connectImpatiently } from './support/impatient.ts'
import { type OtherProcess, startOther } from './support/other-process.ts'

const SYNC = { kind: 'sync', capacity: 3 }

describe.runIf(process.platform === 'linux')('Leases of a process that is gone', () => {
  let databases: SpecDatabases
  let own: ProcessIdentity
  let dead: ProcessIdentity
  let living: OtherProcess

  beforeAll(async () => {
    databases = await createSpecDatabases()
    own = thisProcess() as ProcessIdentity
    living = await startOther()
    const other = await startOther()
    await other.kill()
    dead = other.identity
  })
  afterAll(async () => {
    await living?.kill()
    await databases?.destroy()
  })
  beforeEach(() => databases.tracking('geo_leases').delete())

  const leasesOf = (process: ProcessIdentity | null) => new Leases(randomUUID(), new ManualClock(), process)
  const claim = (process: ProcessIdentity | null, id = '1') =>
    leasesOf(process).claim(databases.tracking, SYNC, 'widget', async () => [{ id }])
  const left = () => databases.tracking('geo_leases').pluck('record_ids')

  async function take(): Promise<EndedLease[]> {
    const ended: EndedLease[] = []
    await endLeasesOfGone(databases.tracking, own, ['widget'], async (_, lease) => void ended.push(lease))
    return ended
  }

  it('end before their time, with their records, and free its place among those that are allowed', async () => {
    for (const id of ['1', '2', '3']) await claim(dead, id)
    expect(await claim(own, '4')).toBeNull()
    const ended = await take()
    expect(ended.map((lease) => [lease.kind, lease.replicableName, ...lease.recordIds]).sort()).toEqual(
      ['1', '2', '3'].map((id) => ['sync', 'widget', id]),
    )
    expect(await claim(own, '4')).not.toBeNull()
  })

  it('end beside those of processes that live, of other hosts and of nobody known, which stay', async () => {
    const { identity } = living
    const elsewhere = { ...dead, host: 'another' }
    const owner: (ProcessIdentity | null)[] = [own, identity, elsewhere, null]
    const more = { kind: 'verification', capacity: 10 }
    for (const [at, process] of owner.entries())
      await leasesOf(process).claim(databases.tracking, more, 'widget', async () => [{ id: String(at) }])
    await claim(dead, 'dead')
    expect((await take()).map((lease) => lease.recordIds)).toEqual([['dead']])
    expect((await left()).sort()).toEqual([['0'], ['1'], ['2'], ['3']])
  })

  it('stay where they are for a type that this process does not know: it would not free its rows', async () => {
    await leasesOf(dead).claim(databases.tracking, SYNC, 'video', async () => [{ id: 'of another version' }])
    await claim(dead)
    expect((await take()).map((lease) => lease.recordIds)).toEqual([['1']])
    expect(await left()).toEqual([['of another version']])
  })

  it('end where the number of it was given to another', async () => {
    await claim({ ...living.identity, started: String(BigInt(living.identity.started) - 1n) }, 'earlier')
    expect((await take()).map((lease) => lease.recordIds)).toEqual([['earlier']])
  })

  it('are skipped while the database still commits what it wrote last', async () => {
    const leases = leasesOf(dead)
    const claimed = await leases.claim(databases.tracking, SYNC, 'widget', async () => [{ id: '1' }])
    await databases.tracking.transaction(async (trx) => {
      expect(claimed && (await leases.hold(trx, claimed.lease))).toBe(true)
      const impatient = connectImpatiently(databases.trackingUrl)
      const looked = endLeasesOfGone(impatient, own, ['widget'], async () => undefined).finally(() =>
        impatient.destroy(),
      )
      expect(await looked).toEqual({ count: 0, failures: [] })
    })
    expect(await take()).toHaveLength(1)
  })

  it('are ended at most 20 at a time, also of several processes', async () => {
    const begun = [dead, { ...dead, pid: living.identity.pid, started: '1' }]
    for (const process of begun)
      await databases.tracking.raw(
        `insert into geo_leases (kind, holder, holder_host, holder_pid, holder_started, expires_at)
         select 'sync', gen_random_uuid(), ?, ?, ?, clock_timestamp() + interval '1 hour' from generate_series(1, 25)`,
        [process.host, process.pid, process.started],
      )
    const counts: number[] = []
    for (let count = -1; count !== 0; counts.push(count)) count = (await take()).length
    expect(Math.max(...counts)).toBeLessThanOrEqual(20)
    expect(counts.reduce((sum, count) => sum + count)).toBe(50)
  })
})
