import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { claimRows } from '../registry/claims.ts'
import { markFailed, markSynced } from '../registry/marks.ts'
import { resyncRecords } from '../registry/registry.ts'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import type { Bench } from './bench.ts'
import { secondsFromNow } from './rows.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, assertSecondsAhead, registryOf, type Subject } from './subject.ts'
import { aVerifiableRegistry } from './verifiable-registry.ts'

/*
 * GB.M.5. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | sync_timed_out, fail_sync_timeouts | rows are held by leases that end with their process; the last net of eight hours is in the specs of the room |
 * | ordered_by_id, ordered_by | in the suite of the finder |
 * | not_pending scope | only bulk runs need it: their specs assert which rows they take |
 * | find_registries_pending with `except` | what is in flight holds a lease: asserted by that |
 * | failed! reachable from pending, failed and synced | a failure is that of an attempt: from started, or from synced by verification. The specs of the state machines go through every pair |
 * | failed! with an error joins ": " and its message | failures carry a code and one message; asserted by what a failed attempt writes |
 * | last_sync_failure 'Foo: bar' | the same |
 */

const BYTE_BUDGET = 1_000_000
const LEASE = '1'
const HOUR_S = 3600
const TEN_MINUTES_S = 600

/** The suite 'a Geo framework registry', with 'a Geo verifiable registry'. */
export function aFrameworkRegistry(runner: TestRunner, subject: Subject): void {
  const { describe, it, beforeEach } = runner
  const { bench } = subject

  describe('a Geo framework registry', () => {
    aVerifiableRegistry(runner, subject)
    beforeEach(() => bench().reset())

    it('has state, retry_count, last_sync_failure, retry_at, last_synced_at and created_at', async () => {
      const { make } = bench()
      const { id } = await make.registry()
      const row = await registryOf(bench(), id)
      assertColumns(row, {
        state: S.pending,
        retry_count: 0,
        last_sync_failure: null,
        retry_at: null,
        last_synced_at: null,
      })
      assert.ok(row['created_at'] instanceof Date)
    })

    describe('find_registries_pending', () => {
      it('includes pending rows, and none that someone works', async () => {
        const { make } = bench()
        const pending = await make.registry()
        await make.registry({ columns: { lease_id: await liveLease(bench()) } })
        await make.registry({ sync: 'started' })
        await make.registry({ sync: 'synced' })
        assert.deepEqual(await claimedIds(bench()), [pending.id])
      })
    })

    describe('find_registries_needs_sync_again', () => {
      it('includes failed rows whose retry is due, the oldest first, and none that someone works', async () => {
        const { make, tracking } = bench()
        const due = (seconds: number) => ({ columns: { retry_at: secondsFromNow(tracking, seconds) } })
        const late = await make.registry({ sync: 'failed', ...due(-60) })
        const latest = await make.registry({ sync: 'failed', ...due(-120) })
        await make.registry({ sync: 'failed', ...due(60) })
        await make.registry({ sync: 'failed', columns: { lease_id: await liveLease(bench()) } })
        assert.deepEqual(await claimedIds(bench(), 1), [latest.id])
        assert.deepEqual(await claimedIds(bench(), 1), [late.id])
        assert.deepEqual(await claimedIds(bench(), 1), [])
      })
    })

    describe('failed!', () => {
      it('sets last_sync_failure', async () => {
        const { id } = await failedWith(bench(), 'Foo')
        assertColumns(await registryOf(bench(), id), { state: S.failed, last_sync_failure: 'Foo' })
      })

      it('truncates a failure of 256 characters to 252 and an ellipsis', async () => {
        const { id } = await failedWith(bench(), 'a'.repeat(256))
        assertColumns(await registryOf(bench(), id), { last_sync_failure: `${'a'.repeat(252)}...` })
      })

      it('counts retries from one start to the next, and sets retry_at', async () => {
        const { id } = await failedWith(bench(), 'Foo')
        assertColumns(await registryOf(bench(), id), { retry_count: 1 })
        assertSecondsAhead((await registryOf(bench(), id))['retry_at'], 45, 45)
        await bench().tracking(bench().secondary.type.names.registryTable).update({ retry_at: null })
        assert.deepEqual(await claimedIds(bench()), [id])
        await fail(bench(), id, 'Foo')
        assertColumns(await registryOf(bench(), id), { retry_count: 2 })
      })

      for (const missing of [false, true]) {
        it(`caps the backoff at ${missing ? '4 hours where the file is missing on the primary' : '1 hour'}`, async () => {
          const { make, primary, secondary } = bench()
          const record = await make.registry({ columns: { retry_count: 9999, state: S.failed } })
          // A folder in the place of the file: the primary cannot read it. Without one, it has no file.
          await primary.type.store.remove(record.blobKey ?? '')
          if (!missing) await make.folder(record)
          await bench().caughtUp()
          await bench().work(secondary.parts.sources.sync)
          const row = await registryOf(bench(), record.id)
          assertColumns(row, { state: S.failed, retry_count: 10_000 })
          assertSecondsAhead(row['retry_at'], missing ? 4 * HOUR_S : HOUR_S, TEN_MINUTES_S)
        })
      }

      it('is logged as a warning', async () => {
        const { make, primary, secondary } = bench()
        const record = await make.registry()
        await primary.type.store.remove(record.blobKey ?? '')
        await bench().caughtUp()
        await bench().work(secondary.parts.sources.sync)
        await assertLogged(bench(), 'warn', record.id, 'started', 'failed')
      })
    })

    describe('synced!', () => {
      it('clears the retry fields and the failure', async () => {
        const { make } = bench()
        const { id } = await make.registry({
          sync: 'started',
          columns: { retry_count: 3, retry_at: new Date(), last_sync_failure: 'Foo', lease_id: LEASE },
        })
        await sync(bench(), id)
        assertColumns(await registryOf(bench(), id), {
          state: S.synced,
          retry_count: 0,
          retry_at: null,
          last_sync_failure: null,
        })
      })

      it('leaves a row pending that was moved to pending meanwhile', async () => {
        const { make, tracking, secondary } = bench()
        const { id } = await make.registry({ sync: 'started', columns: { lease_id: LEASE, retry_count: 3 } })
        await resyncRecords(tracking, secondary.type, [id])
        await sync(bench(), id)
        assertColumns(await registryOf(bench(), id), { state: S.pending, retry_count: 0, retry_at: null })
      })

      it('is logged for debugging, and so is start!', async () => {
        const { make, secondary } = bench()
        const { id } = await make.registry({ of: await make.row({ verification: 'succeeded' }) })
        await bench().caughtUp()
        await bench().work(secondary.parts.sources.sync)
        await assertLogged(bench(), 'debug', id, 'pending', 'started')
        await assertLogged(bench(), 'debug', id, 'started', 'synced')
      })
    })

    describe('pending!', () => {
      it('takes a started row to pending, and is logged', async () => {
        const { make, main, primary, secondary } = bench()
        const record = await make.registry({ sync: 'started' })
        await main.transaction((trx) => primary.geo.replicator(primary.type).updated(record.row, trx))
        await bench().runJob(secondary, 'events')
        assertColumns(await registryOf(bench(), record.id), { state: S.pending, verification_state: V.disabled })
        await assertLogged(bench(), 'debug', record.id, 'started', 'pending')
      })

      it('clears the retry fields of a failed row', async () => {
        const { make, tracking, secondary } = bench()
        const { id } = await make.registry({ sync: 'failed', columns: { retry_at: new Date() } })
        await resyncRecords(tracking, secondary.type, [id])
        assertColumns(await registryOf(bench(), id), { state: S.pending, retry_at: null, retry_count: 0 })
      })
    })

    it('start! takes a failed row to started, notes the moment, and is logged', async () => {
      const { make, secondary } = bench()
      const { id } = await make.registry({ sync: 'failed' })
      await secondary.parts.sources.sync.claim()
      const row = await registryOf(bench(), id)
      assertColumns(row, { state: S.started })
      assertSecondsAhead(row['last_synced_at'], 0, 30)
      await assertLogged(bench(), 'debug', id, 'failed', 'started')
    })
  })
}

async function liveLease({ tracking }: Bench): Promise<string> {
  const expiresAt = secondsFromNow(tracking, 60)
  const [lease] = await tracking('geo_leases').insert(
    { kind: 'sync', holder: randomUUID(), expires_at: expiresAt },
    'id',
  )
  return String(lease.id)
}

async function claimedIds({ tracking, secondary }: Bench, rows = 10): Promise<string[]> {
  const claimed = await tracking.transaction((trx) =>
    claimRows(trx, secondary.type, LEASE, { rows, byteBudget: BYTE_BUDGET }),
  )
  return claimed.map((row) => row.id)
}

async function failedWith(bench: Bench, message: string): Promise<{ id: string }> {
  const { id } = await bench.make.registry({ sync: 'started', columns: { lease_id: LEASE } })
  await fail(bench, id, message)
  return { id }
}

async function fail({ tracking, secondary }: Bench, id: string, message: string): Promise<void> {
  const failure = { id, code: 'HTTP_STATUS', message, retryInSeconds: 45 } as const
  await tracking.transaction((trx) => markFailed(trx, secondary.type, LEASE, [failure]))
}

async function sync({ tracking, secondary }: Bench, id: string): Promise<void> {
  const copy = { id, key: 'a/copy', bytes: 1, rowVersion: '1', verifiable: false }
  await tracking.transaction((trx) => markSynced(trx, secondary.type, LEASE, [copy]))
}

async function assertLogged(bench: Bench, level: string, id: string, from: string, to: string): Promise<void> {
  const { log, type } = bench.secondary
  const registryId = String((await registryOf(bench, id))['id'])
  const line = log.lines.find(({ fields }) => fields['registry_id'] === registryId && fields['to'] === to)
  assert.ok(line, `no line of the log says that ${id} went to ${to}`)
  assert.equal(line.level, level)
  assertColumns(line.fields, {
    class: `${type.names.className}Registry`,
    model_record_id: id,
    from,
    to,
    result: true,
  })
}
