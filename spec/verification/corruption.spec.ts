import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { loadPrimaryChecksums } from '../../lib/blob/primary-checksum.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { backfillStates, reverifyDue } from '../../lib/verification/maintain-states.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'
import { addRecord, changeState, stateOf } from '../support/primary-records.ts'
import { createVerifyingSite, digestOf, type VerifyingSite } from '../support/verifying-site.ts'

const KEY = 'a/b'
let databases: SpecDatabases
let site: VerifyingSite
let types: Record<'separate' | 'columns', Replicable>

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await createVerifyingSite()
  const { widgets, gadgets } = declareReplicables(site.root)
  types = { separate: untyped(widgets), columns: untyped(gadgets) }
})
afterAll(async () => {
  await site.close()
  await databases.destroy()
})
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets', 'geo_leases']) await databases.main(table).delete()
  await rm(join(site.root, 'a'), { recursive: true, force: true })
  site.log.clear()
})

const tracker = () => primaryVerification(databases.main, async () => undefined)
const pathOfBlob = () => join(site.root, KEY)
const verify = (type: Replicable, afterClaim?: () => Promise<unknown>) =>
  site.verify(databases.main, tracker(), type, afterClaim)
const DUE = { verification_state: V.failed, verification_retry_at: null }

const harms: Record<string, () => Promise<unknown>> = {
  flipped: () => writeFile(pathOfBlob(), 'bytez'),
  truncated: () => writeFile(pathOfBlob(), 'byte'),
  grown: () => writeFile(pathOfBlob(), 'bytes and more'),
  emptied: () => writeFile(pathOfBlob(), ''),
  'replaced by a folder': async () => {
    await rm(pathOfBlob())
    await mkdir(pathOfBlob())
  },
}

describe.each(['separate', 'columns'] as const)('On the primary, with its state kept as %s,', (kept) => {
  /** A record whose file is as its recorded checksum says. */
  async function goodRecord(state: object = {}): Promise<string> {
    await site.writeBlob(KEY, 'bytes')
    const verification_checksum = encodeDigest(await digestOf('bytes'))
    return addRecord(databases.main, types[kept], KEY, { verification_checksum, ...state })
  }
  const state = (id: string) => stateOf(databases.main, types[kept], id)
  const known = async (id: string) => (await loadPrimaryChecksums(databases.main, types[kept], [id])).get(id)

  it.each(Object.keys(harms))(
    'a blob that was %s is CORRUPT_ON_PRIMARY, told once, until it is restored',
    async (harm) => {
      const type = types[kept]
      const recorded = await digestOf('bytes')
      const id = await goodRecord()
      await harms[harm]?.()
      await verify(type)
      expect(await state(id)).toMatchObject({
        verification_state: V.failed,
        verification_checksum: encodeDigest(recorded),
        verification_failure: expect.stringMatching(/^CORRUPT_ON_PRIMARY: /),
        verification_retry_count: 1,
      })
      // What other copies are judged by stays, and the bad bytes are refused: also while they are hashed once more.
      const refused = { digest: recorded, corrupt: true }
      expect(await known(id)).toEqual(refused)
      await changeState(databases.main, type, id, DUE)
      await verify(type, async () => expect(await known(id)).toEqual(refused))
      expect(await state(id)).toMatchObject({ verification_state: V.failed, verification_retry_count: 2 })
      expect(site.log.codes()).toEqual(['CORRUPT_ON_PRIMARY'])
      expect(site.log.coded()).toMatchObject([{ level: 'error', fields: { replicable: type.name, id } }])

      await rm(pathOfBlob(), { recursive: true })
      await site.writeBlob(KEY, 'bytes')
      await changeState(databases.main, type, id, DUE)
      await verify(type)
      expect(await state(id)).toMatchObject({ verification_state: V.succeeded, verification_failure: null })
      expect(await known(id)).toEqual({ digest: recorded, corrupt: false })
      expect(site.log.coded()[1]).toMatchObject({ level: 'info', fields: { code: 'CORRUPT_ON_PRIMARY', id } })
    },
  )

  it('a blob that was removed is missing, and keeps its checksum', async () => {
    const id = await goodRecord()
    await rm(pathOfBlob())
    await verify(types[kept])
    expect(await state(id)).toMatchObject({
      verification_state: V.failed,
      verification_checksum: encodeDigest(await digestOf('bytes')),
      verification_failure: `Error during verification: File is not checksummable - file does not exist at: ${KEY}`,
    })
    expect(await known(id)).toEqual({ digest: await digestOf('bytes'), corrupt: false })
    expect(site.log.codes()).toEqual([])
  })

  it('bytes that were found bad stay so while the file cannot be read', async () => {
    const type = types[kept]
    const id = await goodRecord()
    await harms['flipped']?.()
    await verify(type)
    const { verification_failure } = await state(id)
    await rm(pathOfBlob())
    await symlink('/etc/hostname', pathOfBlob())
    await changeState(databases.main, type, id, DUE)
    await verify(type)
    expect(await state(id)).toMatchObject({ verification_failure, verification_retry_count: 2 })
    expect(await known(id)).toMatchObject({ corrupt: true })
  })

  it('nothing that happens to the work or to the row clears or replaces the checksum', async () => {
    const { main } = databases
    const type = types[kept]
    const verification_checksum = encodeDigest(await digestOf('bytes'))
    const id = await goodRecord()
    const started = { verification_state: V.started, verification_started_at: main.fn.now() }
    const ways: (() => Promise<unknown>)[] = [
      () => main.transaction((trx) => tracker().takeOver(trx, type, [id], 10)),
      () => main.transaction((trx) => tracker().giveBack(trx, type, [id])),
      () => backfillStates(main, types.separate, { after: null }),
      async () => {
        await changeState(main, type, id, { verification_state: V.succeeded, verified_at: '2020-01-01' })
        await reverifyDue(main, type, 7)
      },
      () => verify(type, () => main('geo_leases').delete()),
    ]
    for (const way of ways) {
      await changeState(main, type, id, started)
      await way()
      expect((await state(id)).verification_checksum).toEqual(verification_checksum)
    }
  })

  it('another algorithm is recorded only in a pass in which the recorded one fits', async () => {
    const type = Object.freeze({ ...types[kept], checksum: 'sha256' as const })
    const id = await goodRecord()
    await harms['flipped']?.()
    await verify(type)
    expect(await state(id)).toMatchObject({
      verification_state: V.failed,
      verification_checksum: encodeDigest(await digestOf('bytes')),
      verification_failure: expect.stringMatching(/^CORRUPT_ON_PRIMARY: /),
    })

    await site.writeBlob(KEY, 'bytes')
    await changeState(databases.main, type, id, DUE)
    await verify(type)
    expect(await state(id)).toMatchObject({
      verification_state: V.succeeded,
      verification_checksum: encodeDigest(await digestOf('bytes', 'sha256')),
    })
  })

  it('a checksum that only a newer version can read is neither replaced nor called corrupt', async () => {
    const verification_checksum = Buffer.from('09abcdef', 'hex')
    const id = await goodRecord({ verification_checksum })
    await verify(types[kept])
    expect(await state(id)).toMatchObject({
      verification_state: V.failed,
      verification_checksum,
      verification_failure: expect.stringMatching(/an algorithm that this version does not know$/),
    })
    expect(await known(id)).toEqual({ digest: null, corrupt: false })
  })
})
