import assert from 'node:assert/strict'
import { encodeDigest } from '../blob/digest.ts'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { claimPrimary } from '../verification/primary-claim.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Bench } from './bench.ts'
import { blobEvents, publish } from './blob-events.ts'
import { aReplicableModel } from './replicable-model.ts'
import { aReplicator } from './replicator.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, type Subject, stateOf } from './subject.ts'
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
  const { bench } = subject

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

    blobEvents(runner, subject)

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
