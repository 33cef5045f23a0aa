import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { resyncRecords } from '../../lib/registry/registry.ts'
import { registryVerification, wakeVerification } from '../../lib/registry/registry-verification.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import {
  addHostRow,
  addRegistryRow,
  type RegistryColumns,
  registryRow,
  secondsFromNow,
  untyped,
} from '../support/fixture-rows.ts'
import { createVerifyingSite, digestOf, type VerifyingSite } from '../support/verifying-site.ts'

let databases: SpecDatabases
let site: VerifyingSite
let widgets: Replicable

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await createVerifyingSite()
  widgets = untyped(declareReplicables(site.root).widgets)
})
afterAll(async () => {
  await site.close()
  await databases.destroy()
})
beforeEach(async () => {
  await databases.main('widgets').delete()
  for (const table of ['widget_registry', 'geo_leases']) await databases.tracking(table).delete()
})

const tracker = () => registryVerification(databases.standby)
const row = (id: string) => registryRow(databases.tracking, widgets, id)

async function verify(afterClaim?: () => Promise<unknown>): Promise<number> {
  await databases.caughtUp()
  return site.verify(databases.tracking, tracker(), widgets, afterClaim)
}

/** A record whose checksum the primary has recorded as that of `expected`, and a synced copy of it that holds `stored`. */
async function addCopy(expected: string | null, stored: string, columns: object = {}): Promise<string> {
  const { main, tracking } = databases
  const id = await addHostRow(main, widgets)
  if (expected !== null) {
    const verification_checksum = encodeDigest(await digestOf(expected))
    await main('widget_states').insert({ widget_id: id, verification_state: V.succeeded, verification_checksum })
  }
  await site.writeBlob(`copy/${id}`, stored)
  await addRegistryRow(tracking, widgets, id, { state: SYNC_STATE.synced, blob_key: `copy/${id}`, ...columns })
  return id
}

async function secondsUntil(id: string, column: string): Promise<number> {
  const { rows } = await databases.tracking.raw(
    'select extract(epoch from ?? - clock_timestamp())::float8 as seconds from widget_registry where widget_id = ?',
    [column, id],
  )
  return rows[0].seconds
}

describe('A claim', () => {
  it('takes copies never verified, then those verified longest ago, then due retries, and none that is not synced', async () => {
    const { tracking } = databases
    const at = (seconds: number) => secondsFromNow(tracking, seconds)
    const synced = { state: SYNC_STATE.synced }
    const failed = { ...synced, verification_state: V.failed }
    const rows: Record<string, RegistryColumns> = {
      1: { ...failed, verification_retry_at: at(-10) },
      2: { ...failed, verification_retry_at: at(-20) },
      3: { ...failed, verification_retry_at: at(60) },
      4: { ...synced, verified_at: at(-10) },
      5: { ...synced, verified_at: at(-20) },
      6: synced,
      7: { state: SYNC_STATE.started },
      8: { state: SYNC_STATE.failed, verification_state: V.failed },
      9: { ...synced, removal_requested_at: at(0) },
      10: { ...synced, verification_state: V.disabled },
      11: { ...synced, verification_state: V.started },
      12: { ...synced, verification_state: V.succeeded },
    }
    for (const [id, columns] of Object.entries(rows)) await addRegistryRow(tracking, widgets, id, columns)
    const claim = (limit: number) => tracking.transaction((trx) => tracker().claim(trx, widgets, limit))
    const taken: string[] = []
    for (let claimed = await claim(1); claimed.length > 0; claimed = await claim(1)) {
      taken.push(...claimed.map(({ id }) => id))
    }
    expect(taken).toEqual(['6', '5', '4', '2', '1'])
    expect(await tracker().waiting(tracking, [widgets])).toEqual([])
  })

  it('gives each copy to one claimer', async () => {
    const { tracking } = databases
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, state) select n, now(), 2 from generate_series(1, 1000) n`,
    )
    const claims = await Promise.all(
      Array.from({ length: 12 }, () => tracking.transaction((trx) => tracker().claim(trx, widgets, 100))),
    )
    const ids = claims.flat().map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('A copy', () => {
  it('with the bytes of the primary is verified, and its earlier mismatch forgotten', async () => {
    const id = await addCopy('bytes', 'bytes', {
      verification_retry_count: 2,
      checksum_mismatch: true,
      verification_checksum_mismatched: Buffer.of(1, 2),
    })
    expect(await verify()).toBe(1)
    expect(await row(id)).toMatchObject({
      state: SYNC_STATE.synced,
      verification_state: V.succeeded,
      verification_checksum: encodeDigest(await digestOf('bytes')),
      verified_at: expect.any(Date),
      verification_retry_count: 0,
      verification_failure: null,
      checksum_mismatch: false,
      verification_checksum_mismatched: null,
    })
    expect(await databases.tracking('geo_leases')).toEqual([])
  })

  it('with other bytes fails, and its sync with it', async () => {
    const id = await addCopy('bytes', 'rotten')
    const [local, expected] = [await digestOf('rotten'), await digestOf('bytes')]
    await verify()
    const details = {
      checksum: local.hex,
      primary_checksum: expected.hex,
      registry_id: String((await row(id))?.['id']),
    }
    const failure = `Checksum does not match the primary checksum ${JSON.stringify(details)}`
    expect(await row(id)).toMatchObject({
      state: SYNC_STATE.failed,
      verification_state: V.failed,
      verification_failure: failure,
      last_sync_failure: `Verification failed with: ${failure}`,
      error_code: 'VERIFICATION_MISMATCH',
      retry_count: 1,
      verification_retry_count: 1,
      checksum_mismatch: true,
      verification_checksum: encodeDigest(local),
      verification_checksum_mismatched: encodeDigest(expected),
      verified_at: expect.any(Date),
    })
  })

  it('that was verified before is due at once the first time, and waits the second', async () => {
    const { tracking } = databases
    const id = await addCopy('bytes', 'rotten', { verification_checksum: encodeDigest(await digestOf('bytes')) })
    await verify()
    expect(await secondsUntil(id, 'retry_at')).toBeLessThanOrEqual(0)
    // Fetched again, and spoilt again.
    await tracking('widget_registry').update({
      state: SYNC_STATE.synced,
      verification_state: V.pending,
      retry_count: 0,
    })
    await verify()
    expect(await secondsUntil(id, 'retry_at')).toBeGreaterThan(25)
    expect(await secondsUntil(id, 'verification_retry_at')).toBeGreaterThan(25)
    expect(await row(id)).toMatchObject({ retry_count: 2, verification_retry_count: 2 })
  })

  it('that was never verified waits after its first mismatch', async () => {
    const id = await addCopy('bytes', 'rotten')
    await verify()
    expect(await secondsUntil(id, 'retry_at')).toBeGreaterThan(10)
  })

  it('that has gone from the disk fails without a checksum', async () => {
    const id = await addCopy('bytes', 'bytes')
    await site.removeBlob(`copy/${id}`)
    await verify()
    expect(await row(id)).toMatchObject({
      state: SYNC_STATE.failed,
      verification_state: V.failed,
      verification_failure: expect.stringMatching(/^Error during verification: /),
      error_code: 'FILE_MISSING',
      checksum_mismatch: false,
      verification_checksum: null,
    })
  })

  it('is set aside while the primary has no checksum', async () => {
    const id = await addCopy(null, 'bytes')
    await verify()
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.disabled, verified_at: null })
  })

  it.each([
    ['verification', async (id: string) => wakeVerification(databases.tracking, widgets, [id]), V.started],
    ['replication', async (id: string) => resyncRecords(databases.tracking, widgets, [id]), V.disabled],
  ])('is not judged by a run during which its %s was asked for anew', async (_, ask, state) => {
    const id = await addCopy('bytes', 'rotten')
    let asked = 0
    await verify(async () => {
      asked += 1
      if (asked > 1) await databases.tracking('geo_leases').delete()
      else await ask(id)
    })
    // Verification that was asked for anew is claimed again; under no lease, that run may not judge either.
    expect(await row(id)).toMatchObject({
      verification_state: state,
      verification_failure: null,
      verification_retry_count: 0,
    })
  })

  it('is not judged by a process that lost its lease', async () => {
    const id = await addCopy('bytes', 'bytes')
    await verify(() => databases.tracking('geo_leases').update({ expires_at: databases.tracking.fn.now() }))
    expect(await row(id)).toMatchObject({ verification_state: V.started, verified_at: null })
  })
})

describe('Word of a new checksum', () => {
  it('wakes a copy from every state, and lets the backoff of a failed one grow on', async () => {
    const { tracking } = databases
    const counted = { verification_retry_count: 3, verification_failure: 'x', checksum_mismatch: true }
    await addRegistryRow(tracking, widgets, '1', { ...counted, verification_state: V.failed })
    await addRegistryRow(tracking, widgets, '2', { ...counted, verification_state: V.succeeded })
    expect(await wakeVerification(tracking, widgets, ['1', '2', '3'])).toEqual(
      expect.arrayContaining([
        { id: '1', from: 'failed' },
        { id: '2', from: 'succeeded' },
      ]),
    )
    const woken = { verification_state: V.pending, verification_failure: null }
    expect(await row('1')).toMatchObject({ ...woken, verification_retry_count: 3, checksum_mismatch: true })
    expect(await row('2')).toMatchObject({ ...woken, verification_retry_count: 0, checksum_mismatch: false })
  })
})

describe('What a process leaves behind', () => {
  it('is due at once the first time and later the second, and leaves the copy synced', async () => {
    const { tracking } = databases
    const started = { state: SYNC_STATE.synced, verification_state: V.started }
    await addRegistryRow(tracking, widgets, '1', started)
    await addRegistryRow(tracking, widgets, '2', { ...started, verification_retry_count: 1, verification_failure: 'x' })
    await tracking.transaction((trx) => tracker().takeOver(trx, widgets, ['1', '2'], 100))
    expect(await secondsUntil('1', 'verification_retry_at')).toBeLessThanOrEqual(0)
    expect(await secondsUntil('2', 'verification_retry_at')).toBeGreaterThan(90)
    expect(await row('1')).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.failed, retry_count: 0 })
    expect(await row('2')).toMatchObject({ verification_retry_count: 2, verification_failure: 'x' })
  })

  it('in good order is pending again', async () => {
    const { tracking } = databases
    await addRegistryRow(tracking, widgets, '1', { state: SYNC_STATE.synced, verification_state: V.started })
    await tracking.transaction((trx) => tracker().giveBack(trx, widgets, ['1']))
    expect(await row('1')).toMatchObject({ verification_state: V.pending, verification_retry_count: 0 })
  })
})
