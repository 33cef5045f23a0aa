import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { stateTableOf } from '../lib/blob/primary-checksum.ts'
import { endDeadLeases } from '../lib/other-leases.ts'
import { claimRows } from '../lib/registry/claims.ts'
import { reverifyOldestCopies } from '../lib/registry/copies-interval.ts'
import { registryVerification } from '../lib/registry/registry-verification.ts'
import { claimRemovals } from '../lib/registry/removal.ts'
import { SYNC_STATE as S } from '../lib/registry/sync-state.ts'
import { failTimedOutSyncs, failTimedOutVerifications } from '../lib/registry/timeouts.ts'
import { reverifyDue, wakeNamed } from '../lib/verification/maintain-states.ts'
import { primaryVerification } from '../lib/verification/primary-tracker.ts'
import { failTimedOutRecords } from '../lib/verification/timed-out.ts'
import { VERIFICATION_STATE as V } from '../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addLease, addRegistryRow, type RegistryColumns, secondsFromNow, untyped } from './support/fixture-rows.ts'
import { connectImpatiently } from './support/impatient.ts'
import { addRecord } from './support/primary-records.ts'

const LATE = { timeoutMs: 1000, retryInSeconds: 1, limit: 10 }
const { widgets: declared, gadgets: declaredGadgets } = declareReplicables('unused')
const [widgets, gadgets] = [untyped(declared), untyped(declaredGadgets)]

let databases: SpecDatabases
let impatient: Record<'main' | 'tracking', Knex>

beforeAll(async () => {
  databases = await createSpecDatabases()
  impatient = {
    main: connectImpatiently(databases.mainUrl),
    tracking: connectImpatiently(databases.trackingUrl),
  }
})
afterAll(async () => {
  await Promise.all(Object.values(impatient).map((db) => db.destroy()))
  await databases.destroy()
})
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_leases']) await databases.tracking(table).delete()
  for (const table of ['widgets', 'gadgets']) await databases.main(table).delete()
})

/** Two that are alike and due; the second is locked by somebody else while `take` is asked how many it gets. */
async function takenBesideLocked(
  db: Knex,
  { table, key }: { table: string; key: string },
  add: (n: string) => Promise<string | undefined>,
  take: () => Promise<number>,
): Promise<number> {
  await add('1')
  const locked = await add('2')
  return db.transaction(async (trx) => {
    const { length } = await trx(table)
      .where({ [key]: locked })
      .forUpdate()
      .select(key)
    expect(length).toBe(1)
    return take()
  })
}

describe('Nobody waits for a row that another has locked:', () => {
  const ago = (seconds: number) => secondsFromNow(databases.tracking, -seconds)
  const inTrx = (which: 'main' | 'tracking', claim: (trx: Knex.Transaction) => Promise<readonly unknown[]>) =>
    impatient[which].transaction(async (trx) => (await claim(trx)).length)
  const limits = { rows: 10, byteBudget: 10 }
  const synced = { state: S.synced, blob_key: 'a' }

  it.each<[string, () => RegistryColumns, () => Promise<number>]>([
    ['who fetches', () => ({}), () => inTrx('tracking', (trx) => claimRows(trx, widgets, '1', limits))],
    [
      'who fetches again',
      () => ({ state: S.failed, retry_count: 1, retry_at: ago(1) }),
      () => inTrx('tracking', (trx) => claimRows(trx, widgets, '1', limits)),
    ],
    [
      'who removes',
      () => ({ ...synced, superseded_keys: ['b'] }),
      () => inTrx('tracking', (trx) => claimRemovals(trx, widgets, '1', 10)),
    ],
    [
      'who hashes copies',
      () => synced,
      () => inTrx('tracking', (trx) => registryVerification(databases.standby).claim(trx, widgets, 10)),
    ],
    [
      'who has old copies hashed again',
      () => ({ ...synced, verification_state: V.succeeded, verified_at: ago(2 * 86_400) }),
      () => reverifyOldestCopies(impatient.tracking, widgets, 1),
    ],
    [
      'who fails what was fetched for too long',
      () => ({ state: S.started, last_synced_at: ago(60) }),
      async () => (await failTimedOutSyncs(impatient.tracking, widgets, LATE)).length,
    ],
    [
      'who fails what was hashed for too long',
      () => ({ ...synced, verification_state: V.started, verification_started_at: ago(60) }),
      async () => (await failTimedOutVerifications(impatient.tracking, widgets, LATE)).length,
    ],
  ])('%s', async (_, columns, take) => {
    const { tracking } = databases
    const add = async (id: string) => {
      await addRegistryRow(tracking, widgets, id, columns())
      return id
    }
    expect(await takenBesideLocked(tracking, { table: 'widget_registry', key: 'widget_id' }, add, take)).toBe(1)
  })

  it('who takes leases over', async () => {
    const { tracking } = databases
    const add = () => addLease(tracking, { secondsLeft: -1 })
    const take = async () => (await endDeadLeases(impatient.tracking, ['widget'], async () => undefined)).count
    expect(await takenBesideLocked(tracking, { table: 'geo_leases', key: 'id' }, add, take)).toBe(1)
  })

  describe.each([
    ['separate', widgets],
    ['columns', gadgets],
  ])('on the primary, with its state kept as %s,', (_, replicable) => {
    const stateTable = stateTableOf(replicable)
    const changed = async (state: number) => {
      const rows = await databases.main(stateTable.table).where({ verification_state: state })
      return rows.length
    }

    it.each<[string, () => RegistryColumns, () => Promise<number>]>([
      [
        'who hashes',
        () => ({}),
        () =>
          inTrx('main', (trx) => primaryVerification(databases.main, async () => undefined).claim(trx, replicable, 10)),
      ],
      [
        'who has old ones hashed again',
        () => ({ verification_state: V.succeeded, verified_at: ago(2 * 86_400) }),
        async () => {
          await reverifyDue(impatient.main, replicable, 1)
          return changed(V.pending)
        },
      ],
      [
        'who wakes what had no file',
        () => ({ verification_state: V.disabled }),
        async () => {
          if (replicable === gadgets) await wakeNamed(impatient.main, replicable, { after: null })
          else await reverifyDue(impatient.main, replicable, 1)
          return changed(V.pending)
        },
      ],
      [
        'who fails what was hashed for too long',
        () => ({ verification_state: V.started, verification_started_at: ago(60) }),
        async () => (await failTimedOutRecords(impatient.main, replicable, LATE)).length,
      ],
    ])('%s', async (_, state, take) => {
      const { main } = databases
      expect(await takenBesideLocked(main, stateTable, () => addRecord(main, replicable, 'a', state()), take)).toBe(1)
    })
  })
})
