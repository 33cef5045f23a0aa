import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { BulkRequest, BulkRun } from '../../lib/index.ts'
import { claimRows } from '../../lib/registry/claims.ts'
import { giveBackRows, markSynced } from '../../lib/registry/marks.ts'
import { insertPending } from '../../lib/registry/registry.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { type BulkSite, openBulkSite } from '../support/bulk-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites, secondsFromNow, untyped } from '../support/fixture-rows.ts'

const ROWS = 1_000_000
const CLAIMERS = 2
const ROWS_PER_CLAIM = 100

const widgets = untyped(declareReplicables('unused').widgets)

let databases: SpecDatabases
let paris: BulkSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  const { tracking } = databases
  await addSites(databases.main, 'paris')
  paris = openBulkSite(databases, 'paris')
  await tracking.raw(`
    insert into widget_registry (widget_id, created_at, last_synced_at, state, verification_state, verified_at,
      verification_checksum, blob_key, bytes)
    select n, now(), now(), ${SYNC_STATE.synced}, ${VERIFICATION_STATE.succeeded}, now(), '\\x01aa', 'files/' || n, 1000
    from generate_series(1, ${ROWS}) n`)
  await tracking.raw('analyze widget_registry')
  // How long each transaction of a page took in the database until its last statement.
  await tracking.raw('create table pages (ms float8 not null, examined bigint not null)')
  await tracking.raw(`create function log_page() returns trigger language plpgsql as $$ begin
    insert into pages values (extract(epoch from clock_timestamp() - transaction_timestamp()) * 1000, new.examined - old.examined);
    return new; end $$`)
  await tracking.raw('create trigger log_page after update on geo_bulk_runs for each row execute function log_page()')
})
afterAll(() => databases?.destroy())

/** What syncing does to the registry: claims a batch and marks it synced, again and again; new rows arrive as well. */
async function syncOn(stop: AbortSignal, name: number): Promise<number> {
  const { tracking } = databases
  let synced = 0
  for (let round = 0; !stop.aborted; round += 1) {
    await insertPending(tracking, widgets, [String(ROWS * (name + 2) + round)])
    const lease = String(1000 + name)
    const limits = { rows: ROWS_PER_CLAIM, byteBudget: 2 ** 40 }
    const rows = await tracking.transaction((trx) => claimRows(trx, widgets, lease, limits))
    await tracking.transaction(async (trx) => {
      const copies = rows.map(({ id }) => ({ id, key: `files/${id}`, bytes: 1000, verifiable: true, rowVersion: '1' }))
      await markSynced(trx, widgets, lease, copies)
      const ids = rows.map(({ id }) => id)
      await giveBackRows(trx, widgets, lease, ids)
    })
    synced += rows.length
  }
  return synced
}

async function measured(request: BulkRequest): Promise<BulkRun> {
  const { tracking } = databases
  await tracking('pages').delete()
  const stop = new AbortController()
  const syncing = Array.from({ length: CLAIMERS }, (_, name) => syncOn(stop.signal, name))
  const { id } = await paris.bulk.start(request)
  const begunMs = performance.now()
  let longestMs = 0
  for (let more = true; more; ) {
    const pageMs = performance.now()
    more = await paris.page()
    longestMs = Math.max(longestMs, performance.now() - pageMs)
    // Rows that were locked at that moment are looked at again.
    if (!more) more = (await paris.bulk.get(id)).state === 'running'
  }
  const seconds = (performance.now() - begunMs) / 1000
  stop.abort()
  const synced = (await Promise.all(syncing)).reduce((sum, count) => sum + count, 0)
  const run = await paris.bulk.get(id)
  const { rows } = await tracking.raw(
    'select count(*)::int as pages, max(ms)::int as longest, (percentile_cont(0.5) within group (order by ms))::int as median from pages',
  )
  const { pages, longest, median } = rows[0]
  process.stdout.write(
    `${request.action}: ${run.examined} rows in ${seconds.toFixed(1)} s (${Math.round(run.examined / seconds)} rows/s), ` +
      `${pages} pages, median ${median} ms, longest ${longest} ms in the database, ${longestMs.toFixed(0)} ms with its commit; ` +
      `${synced} rows claimed and synced beside it (${Math.round(synced / seconds)} rows/s)\n`,
  )
  expect(longest).toBeLessThan(1000)
  expect(longestMs).toBeLessThan(2000)
  expect(synced).toBeGreaterThan(0)
  return run
}

it.each(['reverify', 'resync'] as const)(
  'A %s of a million rows ends while sync goes on, with every transaction under a second',
  async (action) => {
    const run = await measured({ action, type: 'widget' })
    expect(run).toMatchObject({ state: 'finished', failure: null })
    expect(run.changed).toBeGreaterThan(ROWS * 0.9)
  },
)

it('A run that looks for few among a million rows, and one that only counts, are done in a moment', async () => {
  const { tracking } = databases
  await tracking('widget_registry')
    .whereRaw('widget_id % 100000 = 0 and widget_id <= ?', [ROWS])
    .update({ state: SYNC_STATE.failed, error_code: 'STORAGE_FULL', retry_at: secondsFromNow(tracking, 3600) })
  const filter = { errorCode: 'STORAGE_FULL' }
  expect(await measured({ action: 'resync', type: 'widget', filter, dryRun: true })).toMatchObject({ changed: 10 })
  expect(await measured({ action: 'resync', type: 'widget', filter })).toMatchObject({ changed: 10 })
})
