import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { registryVerification, wakeVerification } from '../../lib/registry/registry-verification.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { requestChecksum } from '../../lib/verification/await-checksum.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, addRegistryRow, registryRow, untyped } from '../support/fixture-rows.ts'
import { addRecord, stateOf } from '../support/primary-records.ts'
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
  await databases.tracking('widget_registry').delete()
})

// The original records such a result, and then calls the record pending. Recorded, it would be announced: other sites would
// judge the new file by the checksum of the old one, and fetch it again for nothing. Dropped, the record is hashed once more.
describe('The checksum race: a result that was overtaken while it was calculated is dropped,', () => {
  it('on the primary, where the file has changed: only the checksum of the new one is ever told', async () => {
    const { main } = databases
    const announced: string[] = []
    const tracker = primaryVerification(main, async (trx, _, ids) => {
      const { verification_checksum } = await stateOf(trx, widgets, String(ids[0]))
      announced.push(verification_checksum.toString('hex'))
    })
    await site.writeBlob('f', 'old')
    const id = await addRecord(main, widgets, 'f')
    let runs = 0
    await site.verify(main, tracker, widgets, async () => {
      runs += 1
      if (runs > 1) return
      await site.writeBlob('f', 'new')
      await main.transaction((trx) => requestChecksum(trx, trx, widgets, id, 'updated'))
    })
    expect(runs).toBe(2)
    expect(announced).toEqual([encodeDigest(await digestOf('new')).toString('hex')])
  })

  it('on a secondary, where the primary has another checksum by now: the copy is not failed by the former', async () => {
    const { main, tracking } = databases
    const recorded = async (text: string) => ({ verification_checksum: encodeDigest(await digestOf(text)) })
    const id = await addHostRow(main, widgets)
    await main('widget_states').insert({ widget_id: id, verification_state: V.succeeded, ...(await recorded('old')) })
    await site.writeBlob('copy', 'new')
    await addRegistryRow(tracking, widgets, id, { state: SYNC_STATE.synced, blob_key: 'copy' })
    let runs = 0
    const tracker = registryVerification(main)
    const slow = {
      ...tracker,
      async plan(...args: Parameters<typeof tracker.plan>) {
        const plans = await tracker.plan(...args)
        runs += 1
        if (runs === 1) {
          await main('widget_states').update(await recorded('new'))
          await wakeVerification(tracking, widgets, [id])
        }
        return plans
      },
    }
    await site.verify(tracking, slow, widgets)
    expect(runs).toBe(2)
    expect(await registryRow(tracking, widgets, id)).toMatchObject({
      verification_state: V.succeeded,
      state: SYNC_STATE.synced,
      retry_count: 0,
      ...(await recorded('new')),
    })
  })

  it.each(['primary', 'secondary'] as const)('on a %s, where another process has begun anew', async (role) => {
    const { main, tracking } = databases
    const db: Knex = role === 'primary' ? main : tracking
    const tracker = role === 'primary' ? primaryVerification(main, async () => undefined) : registryVerification(main)
    const id = await addRecord(main, widgets, 'f')
    await addRegistryRow(tracking, widgets, id, { state: SYNC_STATE.synced, blob_key: 'f' })
    const table = role === 'primary' ? 'widget_states' : 'widget_registry'
    const first = await db.transaction((trx) => tracker.claim(trx, widgets, 1))
    await db(table).update({ verification_state: V.pending })
    const second = await db.transaction((trx) => tracker.claim(trx, widgets, 1))
    const verdict = { id, outcome: 'succeeded', digest: await digestOf('x') } as const
    const record = (claimed: typeof first) => db.transaction((trx) => tracker.record(trx, widgets, claimed, [verdict]))
    expect(await record(first)).toEqual([])
    expect(await record(second)).toEqual([id])
  })
})
