import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { countRegistry } from '../lib/registry/counts.ts'
import { SYNC_STATE as S } from '../lib/registry/sync-state.ts'
import { countPrimary } from '../lib/verification/counts.ts'
import { VERIFICATION_STATE as V } from '../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addRegistryRow, untyped } from './support/fixture-rows.ts'
import { addRecord } from './support/primary-records.ts'

const declared = declareReplicables('unused')
const types = [untyped(declared.widgets), untyped(declared.gadgets)]

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  for (const { table, names } of types) {
    await databases.main(table).delete()
    await databases.tracking(names.registryTable).delete()
  }
})

describe.each(types)('The counts of $name', (replicable) => {
  const { keyType } = replicable
  const idOf = (n: number) => (keyType === 'bigint' ? String(n) : `00000000-0000-0000-0000-00000000000${n}`)

  it.each([2048, 1])('on a secondary are parts of one another, also %i blocks at a time', async (blocksPerPage) => {
    const rows = [
      { state: S.pending, announced_at: new Date(Date.now() - 60_000) },
      { state: S.started, bytes: 5 },
      { state: S.synced, verification_state: V.disabled, bytes: 7 },
      { state: S.synced, verification_state: V.pending, bytes: 8 },
      { state: S.synced, verification_state: V.succeeded },
      { state: S.failed, verification_state: V.failed },
      { state: S.failed, verification_state: V.disabled },
      { state: S.synced, verification_state: V.succeeded, removal_requested_at: new Date() },
    ]
    for (const [n, columns] of rows.entries()) {
      await addRegistryRow(databases.tracking, replicable, idOf(n + 1), columns)
    }
    expect(await countRegistry(databases.tracking, replicable, { enabled: true, blocksPerPage })).toEqual({
      registry: 7,
      synced: 3,
      failed: 2,
      verified: 1,
      verificationFailed: 1,
      verificationTotal: 3,
      inFlight: 1,
      syncedBytes: 15,
      unsyncedBytes: 5,
      unsyncedOfKnownSize: 1,
      oldestUnsyncedSeconds: expect.closeTo(60, -1.5),
    })
  })

  it.each([50_000, 3, 2, 1])(
    'on the primary are those of rows with a file, also %i rows at a time',
    async (rowsPerPage) => {
      const { main } = databases
      for (const state of [V.pending, V.started, V.succeeded, V.succeeded, V.failed, V.disabled]) {
        await addRecord(main, replicable, 'a', { verification_state: state })
      }
      const corrupt = { verification_state: V.failed, verification_failure: 'CORRUPT_ON_PRIMARY: bytes' }
      await addRecord(main, replicable, 'a', corrupt)
      await addRecord(main, replicable, null, corrupt)
      expect(await countPrimary(main, replicable, { enabled: true, rowsPerPage, blocksPerPage: rowsPerPage })).toEqual({
        total: 7,
        checksummed: 2,
        checksumFailed: 2,
        corrupt: 1,
      })
    },
  )

  it('are 0 without rows, and null while the type is off', async () => {
    const { main, tracking } = databases
    expect(Object.values(await countRegistry(tracking, replicable, { enabled: true }))).toEqual([
      ...Array.from({ length: 10 }, () => 0),
      null,
    ])
    expect(Object.values(await countPrimary(main, replicable, { enabled: true }))).toEqual([0, 0, 0, 0])
    await addRegistryRow(tracking, replicable, idOf(1))
    await addRecord(main, replicable, 'a')
    expect(new Set(Object.values(await countRegistry(tracking, replicable, { enabled: false })))).toEqual(
      new Set([null]),
    )
    expect(new Set(Object.values(await countPrimary(main, replicable, { enabled: false })))).toEqual(new Set([null]))
  })
})
