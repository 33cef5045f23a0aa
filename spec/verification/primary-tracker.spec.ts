import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { stateTableOf } from '../../lib/blob/primary-checksum.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { insertEvents } from '../../lib/event/event-log.ts'
import { requestChecksum } from '../../lib/verification/await-checksum.ts'
import { type AnnounceChecksums, primaryVerification } from '../../lib/verification/primary-tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, addSites, secondsFromNow, untyped } from '../support/fixture-rows.ts'
import * as records from '../support/primary-records.ts'
import { createVerifyingSite, digestOf, type VerifyingSite } from '../support/verifying-site.ts'

let databases: SpecDatabases
let site: VerifyingSite
let types: Record<'separate' | 'columns', Replicable>

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await createVerifyingSite()
  const { widgets, gadgets } = declareReplicables(site.root)
  types = { separate: untyped(widgets), columns: untyped(gadgets) }
  await addSites(databases.main, 'tokyo')
})
afterAll(async () => {
  await site.close()
  await databases.destroy()
})
beforeEach(async () => {
  for (const table of ['widgets', 'gadgets', 'geo_events', 'geo_leases']) await databases.main(table).delete()
})

const announce: AnnounceChecksums = (trx, { name }, ids) =>
  insertEvents(
    trx,
    name,
    'checksum_succeeded',
    ids.map((recordId) => ({ recordId })),
  )
const tracker = (by = announce) => primaryVerification(databases.main, by)
const verify = (replicable: Replicable, afterClaim?: () => Promise<unknown>, by = announce) =>
  site.verify(databases.main, tracker(by), replicable, afterClaim)

const addRecord = (replicable: Replicable, filePath: string | null, state: object = {}) =>
  records.addRecord(databases.main, replicable, filePath, state)
const stateOf = (replicable: Replicable, id: string) => records.stateOf(databases.main, replicable, id)

async function announced(): Promise<string[]> {
  const rows: { event_name: string; payload: { model_record_id: string } }[] = await databases.main('geo_events')
  return rows.filter((row) => row.event_name === 'checksum_succeeded').map((row) => row.payload.model_record_id)
}

describe.each(['separate', 'columns'] as const)('With its state kept as %s, the primary', (kept) => {
  it('claims what was never hashed first, then what was hashed longest ago, then due retries', async () => {
    const { main } = databases
    const type = types[kept]
    const at = (seconds: number) => secondsFromNow(main, seconds)
    const failed = { verification_state: V.failed, verification_retry_count: 1 }
    const late = await addRecord(type, 'a', { ...failed, verification_retry_at: at(-10) })
    const overdue = await addRecord(type, 'a', { ...failed, verification_retry_at: at(-20) })
    await addRecord(type, 'a', { ...failed, verification_retry_at: at(60) })
    const recent = await addRecord(type, 'a', { verified_at: at(-10) })
    const old = await addRecord(type, 'a', { verified_at: at(-20) })
    const never = await addRecord(type, 'a')
    for (const state of [V.started, V.succeeded, V.disabled]) await addRecord(type, 'a', { verification_state: state })
    const claim = (limit: number) => main.transaction((trx) => tracker().claim(trx, type, limit))
    expect((await claim(1)).map(({ id }) => id)).toEqual([never])
    expect((await claim(1)).map(({ id }) => id)).toEqual([old])
    expect(await tracker().waiting(main, Object.values(types))).toEqual([type])
    expect((await claim(2)).map(({ id }) => id)).toEqual([recent, overdue])
    expect(await claim(9)).toEqual([
      {
        id: late,
        registryId: null,
        from: 'failed',
        startedAt: expect.any(String),
        retryCount: 1,
        recorded: null,
        corrupt: false,
        unreadable: false,
        announcedSecondsAgo: null,
        traceparent: null,
        storedKey: null,
      },
    ])
    expect(await tracker().waiting(main, Object.values(types))).toEqual([])
    expect(await stateOf(type, late)).toMatchObject({ verification_state: V.started })
  })

  it('records the checksum of what is stored, and tells of it', async () => {
    const type = types[kept]
    await site.writeBlob('a/b', 'bytes')
    const id = await addRecord(type, 'a/b', { verification_retry_count: 3, verification_failure: 'earlier' })
    expect(await verify(type)).toBe(1)
    expect(await stateOf(type, id)).toMatchObject({
      verification_state: V.succeeded,
      verification_checksum: encodeDigest(await digestOf('bytes')),
      verified_at: expect.any(Date),
      verification_failure: null,
      verification_retry_count: 0,
      verification_retry_at: null,
    })
    expect(await announced()).toEqual([id])
    expect(await databases.main('geo_leases')).toEqual([])
  })

  it('records nothing that it could not tell of', async () => {
    const type = types[kept]
    await site.writeBlob('a/b', 'bytes')
    const id = await addRecord(type, 'a/b')
    const failing = async (trx: Knex.Transaction) => {
      await trx.raw('select 1 / 0')
    }
    await expect(verify(type, undefined, failing)).rejects.toThrow('division by zero')
    expect(await stateOf(type, id)).toMatchObject({ verification_state: V.started, verification_checksum: null })
  })

  it('lets a change of the file during the hashing win', async () => {
    const { main } = databases
    const type = types[kept]
    await site.writeBlob('a/b', 'bytes')
    const id = await addRecord(type, 'a/b')
    let changes = 0
    await verify(type, async () => {
      changes += 1
      if (changes === 1) await main.transaction((trx) => requestChecksum(trx, trx, type, id, 'updated'))
      else expect(await announced()).toEqual([])
    })
    expect(changes).toBe(2)
    expect(await announced()).toEqual([id])
  })

  it('reports an immutable blob with other bytes, and never gives up its recorded checksum', async () => {
    const type = types[kept]
    await site.writeBlob('a/b', 'rotten')
    const recorded = await digestOf('bytes')
    const id = await addRecord(type, 'a/b', { verification_checksum: encodeDigest(recorded) })
    await verify(type)
    const state = await stateOf(type, id)
    expect(state).toMatchObject({
      verification_state: V.failed,
      verification_checksum: encodeDigest(recorded),
      verification_retry_count: 1,
      verification_retry_at: expect.any(Date),
    })
    expect(state.verification_failure).toBe(
      `CORRUPT_ON_PRIMARY: ${type.names.className} #${id} has other bytes than when its checksum was recorded ` +
        `{"checksum":"${(await digestOf('rotten')).hex}","recorded":"${recorded.hex}"}`,
    )
    expect(await announced()).toEqual([])

    await site.writeBlob('a/b', 'bytes')
    await databases.main(stateTableOf(type).table).update({ verification_retry_at: null })
    await verify(type)
    expect(await stateOf(type, id)).toMatchObject({ verification_state: V.succeeded, verification_failure: null })
  })

  it('records a mutable blob anew', async () => {
    const type = Object.freeze({ ...types[kept], immutable: false })
    await site.writeBlob('a/b', 'new bytes')
    const earlier = encodeDigest(await digestOf('bytes'))
    const id = await addRecord(type, 'a/b', { verification_checksum: earlier })
    await verify(type)
    expect(await stateOf(type, id)).toMatchObject({
      verification_state: V.succeeded,
      verification_checksum: encodeDigest(await digestOf('new bytes')),
    })
    expect(await announced()).toEqual([id])
  })

  it('fails a record without its file, keeping its checksum, and tries again later', async () => {
    const type = types[kept]
    const recorded = encodeDigest(await digestOf('bytes'))
    const id = await addRecord(type, 'not/there', { verification_checksum: recorded })
    await verify(type)
    expect(await stateOf(type, id)).toMatchObject({
      verification_state: V.failed,
      verification_checksum: recorded,
      verification_failure: expect.stringMatching(/^Error during verification: .*not\/there/),
      verification_retry_count: 1,
    })
  })

  it('fails the one record whose key the host cannot say, and hashes the others', async () => {
    const blob = (row: { file_path: string }): string => {
      if (row.file_path === 'bad') throw new Error('no such folder')
      return row.file_path
    }
    const type: Replicable = Object.freeze({ ...types[kept], blob: blob as Replicable['blob'] })
    await site.writeBlob('a/b', 'bytes')
    const recorded = encodeDigest(await digestOf('bytes'))
    const bad = await addRecord(type, 'bad', { verification_checksum: recorded, verification_retry_count: 1 })
    const good = await addRecord(type, 'a/b')
    expect(await verify(type)).toBe(1)
    expect(await stateOf(type, bad)).toMatchObject({
      verification_state: V.failed,
      verification_checksum: recorded,
      verification_failure: `Error during verification: The blob function of ${type.name} failed for #${bad}: no such folder`,
      verification_retry_count: 2,
      verification_retry_at: expect.any(Date),
    })
    expect(await stateOf(type, good)).toMatchObject({ verification_state: V.succeeded })
    expect(await announced()).toEqual([good])
  })

  it('gives up and gives back records as their processes end', async () => {
    const { main } = databases
    const type = types[kept]
    const once = await addRecord(type, 'a', { verification_state: V.started })
    const twice = await addRecord(type, 'a', {
      verification_state: V.started,
      verification_retry_count: 1,
      verification_failure: 'the first cause',
    })
    await main.transaction((trx) => tracker().takeOver(trx, type, [once, twice], 100))
    const [first, second] = [await stateOf(type, once), await stateOf(type, twice)]
    expect(first).toMatchObject({ verification_state: V.failed, verification_retry_count: 1 })
    expect(second).toMatchObject({ verification_retry_count: 2, verification_failure: 'the first cause' })
    expect(second.verification_retry_at - first.verification_retry_at).toBeGreaterThan(90_000)
    await main(stateTableOf(type).table).update({ verification_state: V.started })
    await main.transaction((trx) => tracker().giveBack(trx, type, [once]))
    expect(await stateOf(type, once)).toMatchObject({ verification_state: V.pending, verification_retry_count: 1 })
    expect(await stateOf(type, twice)).toMatchObject({ verification_state: V.started })
  })
})

it('A state row whose record has no file any more is disabled', async () => {
  const id = await addRecord(types.separate, null)
  await verify(types.separate)
  expect(await stateOf(types.separate, id)).toMatchObject({ verification_state: V.disabled })
  expect(await announced()).toEqual([])
})

describe('Where the state is in columns of the host’s table, a record without a file', () => {
  const claim = (limit: number) => databases.main.transaction((trx) => tracker().claim(trx, types.columns, limit))

  it('is not claimed but disabled, until the host tells of its file', async () => {
    const { main } = databases
    const id = await addRecord(types.columns, null)
    expect(await verify(types.columns)).toBe(0)
    expect(await stateOf(types.columns, id)).toMatchObject({
      verification_state: V.disabled,
      verification_started_at: null,
    })
    await main('gadgets').where({ id }).update({ file_path: 'a' })
    await main.transaction((trx) => requestChecksum(trx, trx, types.columns, id, 'updated'))
    expect((await claim(10)).map((record) => record.id)).toEqual([id])
  })

  it('keeps none with a file from being claimed, and is asked about once', async () => {
    const { main } = databases
    const withoutFile = `insert into gadgets (name, verified_at) select 'g', '2020-01-01' from generate_series(1, ?::int)`
    await main.raw(withoutFile, [1500])
    const ids: string[] = []
    for (let count = 0; count < 3; count += 1)
      ids.push(await addRecord(types.columns, 'a', { verified_at: new Date() }))
    expect((await claim(2)).map((record) => record.id)).toEqual(ids.slice(0, 2))
    expect(await main('gadgets').where({ verification_state: V.pending })).toMatchObject([{ id: ids[2] }])
    await main.raw('vacuum analyze gadgets')
    const sent: unknown[][] = []
    const note = ({ bindings = [] }: { bindings?: unknown[] }) => void sent.push(bindings.flat())
    main.on('query', note)
    expect((await claim(2)).map((record) => record.id)).toEqual(ids.slice(2))
    main.off('query', note)
    expect(Math.max(...sent.map((values) => values.length))).toBeLessThan(10)
  })

  it('waits for another claim where there are very many before it', async () => {
    const { main } = databases
    await main.raw(`insert into gadgets (name, verified_at) select 'g', '2020-01-01' from generate_series(1, 4000)`)
    const id = await addRecord(types.columns, 'a', { verified_at: new Date() })
    let claims = 0
    for (let found: string[] = []; !found.includes(id); claims += 1)
      found = (await claim(10)).map((record) => record.id)
    expect(claims).toBe(2)
  })

  it('is left alone while the host writes it, which may be to give it one', async () => {
    const { main } = databases
    const id = await addRecord(types.columns, null)
    const hosts = await main.transaction()
    await hosts('gadgets').where({ id }).update({ file_path: 'a' })
    expect(await claim(10)).toEqual([])
    await hosts.commit()
    expect((await claim(10)).map((record) => record.id)).toEqual([id])
  })
})

it('An "or" among the host’s conditions of availability lets no other record in', async () => {
  const { main } = databases
  const orNamed = (query: Knex.QueryBuilder) => query.whereNotNull('file_path').orWhere('name', 'fixture')
  const type = Object.freeze({ ...types.columns, available: orNamed })
  await addRecord(type, 'a', { verification_state: V.succeeded })
  const pending = await addRecord(type, 'a')
  const claimed = await main.transaction((trx) => tracker().claim(trx, type, 10))
  expect(claimed.map(({ id }) => id)).toEqual([pending])
  const separate = Object.freeze({ ...types.separate, available: orNamed })
  await addHostRow(main, separate)
  const asked = await addHostRow(main, separate)
  await main.transaction((trx) => requestChecksum(trx, trx, separate, asked, 'created'))
  expect((await main('widget_states')).map((row) => String(row.widget_id))).toEqual([asked])
})
