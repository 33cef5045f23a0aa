import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTurnProbe } from '../../fixtures/widget-app/turn-probe.ts'
import { defineReplicable } from '../../lib/blob/replicable.ts'
import { UnnamedRows } from '../../lib/blob/unnamed-rows.ts'
import { localDisk } from '../../lib/index.ts'
import { foundOf, reconcilePage } from '../../lib/registry/reconcile.ts'
import { loadReconciliations } from '../../lib/registry/reconciliation-table.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'

const ROWS = 1_000_000

const widgets = defineReplicable<{ file_path: string | null }>({
  name: 'widget',
  table: 'widgets',
  verificationState: 'separate',
  store: localDisk({ root: '/nonexistent' }),
  blob: (row) => row.file_path,
  available: (query) => query.whereNotNull('file_path'),
})

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases?.destroy())

interface Pass {
  pages: number
  added: number
  removed: number
  /** Copies that are hashed, or fetched, again. */
  again: number
  ms: number
  longestTurnMs: number
}

async function pass(): Promise<Pass> {
  const { tracking, standby: replica } = databases
  const total = { pages: 0, added: 0, removed: 0, again: 0 }
  const turns = startTurnProbe()
  turns.reset()
  const startedAt = performance.now()
  for (let after: string | null = null, more = true; more; total.pages += 1) {
    const { now: asOf } = await loadReconciliations(tracking)
    const query = { after, selection: null, asOf, unnamed: new UnnamedRows() }
    const { next, found } = await reconcilePage({ replica, tracking }, widgets, query)
    total.added += foundOf(found, 'row_without_registry')
    total.removed += foundOf(found, 'registry_without_row')
    for (const kind of ['checksum_unknown', 'checksum_changed', 'key_changed'] as const)
      total.again += foundOf(found, kind)
    after = next
    more = after !== null
  }
  return { ...total, ms: performance.now() - startedAt, longestTurnMs: turns.read().longestTurnMs }
}

/** As fast as anything could: both lists of ids, each as one COPY in text that nobody parses. Null without psql. */
async function readBothLists(): Promise<number | null> {
  const startedAt = performance.now()
  for (const [url, sql] of [
    [databases.standbyUrl, 'select id from widgets where file_path is not null order by id'],
    [databases.trackingUrl, 'select widget_id from widget_registry order by widget_id'],
  ] as const) {
    const read = promisify(execFile)('psql', [url, '-qAtc', `copy (${sql}) to stdout`], { maxBuffer: 1e9 })
    if (!(await read.catch(() => null))) return null
  }
  return performance.now() - startedAt
}

it('A pass over a million rows adds each once, the next one nothing, and finds what has gone or changed', async () => {
  const { main, tracking } = databases
  await main.raw(`insert into widgets (name, file_path) select 'w', 'f' || n from generate_series(1, ${ROWS}) n`)
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum, verified_at)
     select id, 2, '\\x01'::bytea || decode(lpad(to_hex(id), 16, '0'), 'hex'), now() from widgets`,
  )
  await main.raw('vacuum analyze widgets')
  await main.raw('vacuum analyze widget_states')
  await databases.caughtUp()
  const backfill = await pass()
  expect(backfill).toMatchObject({ pages: ROWS / 10_000 + 1, added: ROWS, removed: 0, again: 0 })
  await tracking.raw(
    `update widget_registry set state = 2, blob_key = 'f' || widget_id, verification_state = 2,
       verification_checksum = '\\x01'::bytea || decode(lpad(to_hex(widget_id), 16, '0'), 'hex')`,
  )
  await tracking.raw('vacuum full analyze widget_registry')
  const firstLook = await pass()
  expect(firstLook).toMatchObject({ added: 0, removed: 0, again: 0 })
  await tracking.raw('vacuum analyze widget_registry')
  await pass()
  const inStep = await pass()
  expect(inStep).toMatchObject({ pages: ROWS / 10_000 + 1, added: 0, removed: 0, again: 0 })
  const psqlMs = await readBothLists()
  console.log(JSON.stringify({ rows: ROWS, backfill, firstLook, inStep, psqlMs, ratio: psqlMs && psqlMs / inStep.ms }))
  expect(inStep.longestTurnMs).toBeLessThan(20)

  await main.raw('delete from widgets where id % 1000 = 0')
  await main.raw("update widgets set file_path = 'another' where id % 1000 = 1")
  await main.raw("update widget_states set verification_checksum = '\\x0100' where widget_id % 1000 = 2")
  await databases.caughtUp()
  expect(await pass()).toMatchObject({ added: 0, removed: ROWS / 1000, again: (ROWS / 1000) * 2 })
  const { rows } = await tracking.raw(
    'select count(*)::int as rows, count(distinct widget_id)::int as records from widget_registry',
  )
  expect(rows[0]).toEqual({ rows: ROWS, records: ROWS })
})
