import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Bench, BenchSite } from './bench.ts'
import type { MadeRow } from './factories.ts'
import { registryRow } from './rows.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, registryOf, type Subject, stateOf } from './subject.ts'

/** The part of 'a blob replicator' that is about events: what is published, and what comes of it on a secondary. */
export function blobEvents({ describe, it, beforeEach }: TestRunner, { bench, selectOwner }: Subject): void {
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
}

/** Says what the host did to records, in one transaction of the primary's database. */
export async function publish(
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
