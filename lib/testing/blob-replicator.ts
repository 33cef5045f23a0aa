import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeDigest } from '../blob/digest.ts'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { claimPrimary } from '../verification/primary-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Bench, BenchSite } from './bench.ts'
import type { MadeRow } from './factories.ts'
import { aReplicableModel } from './replicable-model.ts'
import { aReplicator } from './replicator.ts'
import { registryRow } from './rows.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, registryOf, type Subject, stateOf } from './subject.ts'
import { aVerifiableReplicator } from './verifiable-replicator.ts'

/*
 * GB.M.1. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | payload of created has a correlation_id | see 'a replicator' |
 * | payload of deleted has uploader_class; the old payload without it | the store belongs to the declaration, so the key says all |
 * | created consumption builds and executes a download service | asserted by what it leads to: a pending registry row, then the file |
 * | in scope is asked twice | asked where the event is consumed and where the copy begins, each with the replica of that moment |
 * | deleted on object storage | there is no object storage yet |
 * | uploader implemented | the store: asserted |
 * | a remote file of 65112 bytes has the checksum "065112" | there is no object storage yet |
 * | excluded from verification raises | a record without a file is disabled, not failed: there is nothing to try again. Asserted |
 * | bulk_create_delete_events_async with a job argument in native JSON | `deleted` is called for each row in the host's transaction; that it takes many and refuses a row without a key is asserted |
 */

/** The suite 'a blob replicator', with 'a replicator', 'a verifiable replicator' and 'a replicable model'. */
export function aBlobReplicator(runner: TestRunner, subject: Subject): void {
  const { describe, it, beforeEach } = runner
  const { bench, selectOwner } = subject

  describe('a blob replicator', () => {
    aReplicator(runner, subject)
    aVerifiableReplicator(runner, subject)
    aReplicableModel(runner, subject)

    describe('after_verifiable_update', () => {
      beforeEach(() => bench().reset())
      for (const enabled of [true, false])
        for (const immutable of [true, false])
          for (const checksum of [false, true])
            for (const checksummable of [true, false]) {
              const asked = enabled && checksummable && !(immutable && checksum)
              const type = `${immutable ? 'immutable' : 'mutable'}, ${checksum ? 'with' : 'without'} a checksum`
              const when = `${enabled ? 'enabled' : 'disabled'}, ${type}, ${checksummable ? '' : 'not '}checksummable`
              it(`${asked ? 'asks' : 'does not ask'} for verification where it is ${when}`, async () => {
                assert.equal(await asksToHash(bench(), { enabled, immutable, checksum, checksummable }), asked)
              })
            }
    })

    describe('geo_handle_after_create', () => {
      beforeEach(() => bench().reset())

      it('publishes the event created with the key of the record, and asks for verification', async () => {
        const { make, primary } = bench()
        const record = await make.row()
        await publish(bench(), primary, 'created', [record])
        assert.deepEqual(await bench().events(), [{ event_name: 'created', payload: { model_record_id: record.id } }])
        assertColumns(await stateOf(bench(), record.id), { verification_state: V.pending })
      })

      for (const where of ['on a secondary', 'with the flag off'] as const) {
        it(`publishes nothing ${where}`, async () => {
          const { make, primary, secondary, events } = bench()
          const record = await make.row()
          if (where === 'with the flag off') bench().switchFlag(false)
          await publish(bench(), where === 'on a secondary' ? secondary : primary, 'created', [record])
          assert.deepEqual(await events(), [])
        })
      }
    })

    describe('geo_handle_after_destroy', () => {
      beforeEach(() => bench().reset())

      it('publishes the event deleted with the key of the record and that of its file', async () => {
        const { make, primary } = bench()
        const record = await make.row()
        await publish(bench(), primary, 'deleted', [record])
        const payload = { model_record_id: record.id, blob_path: record.blobKey }
        assert.deepEqual(await bench().events(), [{ event_name: 'deleted', payload }])
      })

      for (const where of ['on a secondary', 'with the flag off'] as const) {
        it(`publishes nothing ${where}`, async () => {
          const { make, primary, secondary, events } = bench()
          const record = await make.row()
          if (where === 'with the flag off') bench().switchFlag(false)
          await publish(bench(), where === 'on a secondary' ? secondary : primary, 'deleted', [record])
          assert.deepEqual(await events(), [])
        })
      }

      it('takes many records in one transaction', async () => {
        const { make, primary } = bench()
        const records = [await make.row(), await make.row()]
        assert.equal((await bench().events()).length, 0)
        await publish(bench(), primary, 'created', records)
        await publish(bench(), primary, 'deleted', records)
        assert.equal((await bench().events()).length, 4)
      })

      for (const change of ['created', 'updated', 'deleted'] as const) {
        it(`refuses a row without its key, ${change}`, async () => {
          const { primary, main, events } = bench()
          const attempt = main.transaction((trx) => primary.geo.replicator(primary.type)[change]({}, trx))
          await assert.rejects(attempt, { code: 'INVALID_RECORD_ID' })
          assert.deepEqual(await events(), [])
        })
      }
    })

    describe('created event consumption', () => {
      beforeEach(() => bench().reset())

      it('adds a pending registry row, and the blob is downloaded', async () => {
        const { make, primary, secondary } = bench()
        const record = await make.row()
        await publish(bench(), primary, 'created', [record])
        await bench().runJob(secondary, 'events')
        assertColumns(await registryOf(bench(), record.id), { state: S.pending, last_synced_at: null })
        await bench().work(secondary.parts.sources.sync)
        assertColumns(await registryOf(bench(), record.id), { state: S.synced, blob_key: record.blobKey })
        assert.equal(await readFile(join(secondary.type.store.root, record.blobKey ?? ''), 'utf8'), record.bytes)
      })

      if (selectOwner) {
        it('does nothing for a record out of scope', async () => {
          const { make, primary, secondary, tracking } = bench()
          const [own, other] = [await make.row({ owner: 'alpha' }), await make.row({ owner: 'beta' })]
          await inSelection(bench(), selectOwner('alpha'), async () => {
            await publish(bench(), primary, 'created', [own, other])
            await bench().runJob(secondary, 'events')
          })
          assert.ok(await registryRow(tracking, secondary.type, own.id))
          assert.equal(await registryRow(tracking, secondary.type, other.id), undefined)
        })
      }
    })

    describe('deleted event consumption', () => {
      beforeEach(() => bench().reset())

      it('removes the file and the registry row of a record that is gone', async () => {
        const { make, secondary, tracking } = bench()
        const record = await make.registry({ sync: 'synced' })
        await deleteRecord(bench(), record)
        await bench().runJob(secondary, 'events')
        await bench().work(secondary.parts.sources.remove)
        assert.equal(await secondary.type.store.stat(record.blobKey ?? ''), null)
        assert.equal(await registryRow(tracking, secondary.type, record.id), undefined)
      })

      if (selectOwner) {
        it('does not ask for the scope', async () => {
          const { make, secondary, tracking } = bench()
          const record = await make.registry({ sync: 'synced', of: await make.row({ owner: 'beta' }) })
          await deleteRecord(bench(), record)
          await inSelection(bench(), selectOwner('alpha'), async () => {
            await bench().runJob(secondary, 'events')
            await bench().work(secondary.parts.sources.remove)
          })
          assert.equal(await registryRow(tracking, secondary.type, record.id), undefined)
        })
      }
    })

    describe('abstract methods', () => {
      beforeEach(() => bench().reset())

      it('the store is implemented', async () => {
        const { store } = subject.replicable
        for (const method of ['stat', 'remove', 'readMarker', 'claimMarker'] as const) {
          assert.equal(typeof store[method], 'function')
        }
      })

      it('the model has a primary key', async () => {
        const { main, primary } = bench()
        const { rows } = await main.raw(
          `select a.attname as name from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
           where i.indrelid = to_regclass(?) and i.indisunique and i.indnkeyatts = 1`,
          [primary.type.table],
        )
        assert.ok(rows.some(({ name }: { name: string }) => name === primary.type.keyColumn))
      })

      it('the blob of a record is a file that exists', async () => {
        const { make, primary } = bench()
        const record = await make.row()
        assert.equal(primary.type.blob(record.row), record.blobKey)
        const stat = await primary.type.store.stat(record.blobKey ?? '')
        assert.deepEqual(stat, { bytes: Buffer.byteLength(record.bytes) })
      })
    })

    describe('calculate_checksum', () => {
      beforeEach(() => bench().reset())

      it('is the checksum of the local file', async () => {
        const { make, main, primary } = bench()
        const record = await make.row({ verification: 'failed' })
        await bench().work(primary.parts.sources.hash)
        const checksums = await loadPrimaryChecksums(main, primary.type, [record.id])
        assert.deepEqual(checksums.get(record.id)?.digest, record.digest)
      })

      it('fails where the file is missing, and says so', async () => {
        const { make, primary } = bench()
        const record = await make.row({ verification: 'failed' })
        await primary.type.store.remove(record.blobKey ?? '')
        await bench().work(primary.parts.sources.hash)
        assertColumns(await stateOf(bench(), record.id), {
          verification_state: V.failed,
          verification_failure: `Error during verification: File is not checksummable - file does not exist at: ${record.blobKey}`,
        })
      })

      it('is not attempted on a record without a file', async () => {
        const { make, primary } = bench()
        const record = await make.row({ withFile: false, state: { verification_state: V.pending } })
        await bench().work(primary.parts.sources.hash)
        const { verification_state: state, verification_checksum: checksum } = await stateOf(bench(), record.id)
        assert.equal(checksum, null)
        assert.notEqual(state, V.succeeded)
        assert.notEqual(state, V.failed)
      })
    })

    describe('resource_exists?', () => {
      beforeEach(() => bench().reset())

      it('is true of a record whose file is there', async () => {
        const { make, primary } = bench()
        const { blobKey } = await make.row()
        assert.ok(await primary.type.store.stat(blobKey ?? ''))
      })

      it('is false where the file is gone', async () => {
        const { make, primary } = bench()
        const { blobKey } = await make.row()
        await primary.type.store.remove(blobKey ?? '')
        assert.equal(await primary.type.store.stat(blobKey ?? ''), null)
      })

      it('is false of a record without a file', async () => {
        const { make, primary } = bench()
        const { row } = await make.row({ withFile: false })
        assert.equal(primary.type.blob(row) ?? null, null)
      })
    })
  })
}

/** Says what the host did to records, in one transaction of the primary's database. */
async function publish(
  { main }: Bench,
  { geo, type }: BenchSite,
  change: 'created' | 'deleted',
  records: readonly MadeRow[],
): Promise<void> {
  await main.transaction(async (trx) => {
    for (const { row } of records) await geo.replicator(type)[change](row, trx)
  })
}

async function deleteRecord({ main, primary }: Bench, { id, row }: MadeRow): Promise<void> {
  await main.transaction(async (trx) => {
    await trx(primary.type.table)
      .where({ [primary.type.keyColumn]: id })
      .delete()
    await primary.geo.replicator(primary.type).deleted(row, trx)
  })
}

async function inSelection(
  bench: Bench,
  selectiveSync: Parameters<Bench['primary']['geo']['sites']['update']>[1]['selectiveSync'],
  work: () => Promise<void>,
): Promise<void> {
  const { primary, secondary } = bench
  const select = async (selection: typeof selectiveSync = null) => {
    await primary.geo.sites.update(secondary.parts.settings.siteName, { selectiveSync: selection })
    await bench.caughtUp()
    await secondary.parts.sites.refresh()
  }
  await select(selectiveSync)
  try {
    await work()
  } finally {
    await select(null)
  }
}

/** Whether `created` makes a record that nothing is known of wait to be hashed. */
async function asksToHash(
  bench: Bench,
  given: { enabled: boolean; immutable: boolean; checksum: boolean; checksummable: boolean },
): Promise<boolean> {
  const { main, primary, make } = bench
  const type: Replicable = Object.freeze({ ...primary.type, immutable: given.immutable })
  const checksum = encodeDigest({ algorithm: type.checksum, hex: 'abc123' })
  const record = await make.row({
    withFile: given.checksummable,
    state: { verification_state: V.disabled, verification_checksum: given.checksum ? checksum : null },
  })
  bench.switchFlag(given.enabled)
  await publish(bench, { ...primary, type }, 'created', [record])
  const claimed = await main.transaction((trx) => claimPrimary(trx, type, 10))
  return claimed.some(({ id }) => id === record.id)
}
