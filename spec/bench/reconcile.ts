import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { UnnamedRows } from '../../lib/blob/unnamed-rows.ts'
import { foundOf, reconcilePage } from '../../lib/registry/reconcile.ts'
import { loadReconciliations } from '../../lib/registry/reconciliation-table.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { openDatabases } from './database.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { compared, interleaved, secondsOf } from './rounds.ts'

const run = promisify(execFile)
const ROWS = 1_000_000
const REACH = 0.5

export const reconcile: Measurement = {
  title: 'one pass over 1,000,000 ids in step, against psql reading both lists of ids',

  async measure(bench: Bench) {
    const rows = scaled(bench, ROWS)
    const databases = await openDatabases()
    const widgets = declareReplicables('unused').widgets as Replicable
    try {
      await fill(databases, rows)
      // The first pass notes what it has seen.
      await pass(databases, widgets, rows)
      const samples = await interleaved(bench, {
        ours: () => secondsOf(() => pass(databases, widgets, rows)),
        psql: () => secondsOf(() => readBothLists(databases, rows)),
      })
      const idsPerS = Math.round(rows / samples.ours.medianS)
      return compared(samples.ours, samples.psql, REACH, { rows, idsPerS, ...samples })
    } finally {
      await databases.destroy()
    }
  },
}

async function fill({ main, tracking, caughtUp }: SpecDatabases, rows: number): Promise<void> {
  await main.raw(`insert into widgets (name, file_path) select 'w', 'f' || n from generate_series(1, ?::int) n`, [rows])
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum, verified_at)
     select id, 2, '\\x01'::bytea || decode(lpad(to_hex(id), 16, '0'), 'hex'), now() from widgets`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, state, blob_key, verification_state, verification_checksum, created_at)
     select n, 2, 'f' || n, 2, '\\x01'::bytea || decode(lpad(to_hex(n), 16, '0'), 'hex'), now()
     from generate_series(1, ?::int) n`,
    [rows],
  )
  for (const table of ['widgets', 'widget_states']) await main.raw('vacuum analyze ??', [table])
  await tracking.raw('vacuum analyze widget_registry')
  await caughtUp()
}

async function pass({ tracking, standby: replica }: SpecDatabases, widgets: Replicable, rows: number): Promise<void> {
  let pages = 0
  for (let after: string | null = null, more = true; more; pages += 1) {
    const { now: asOf } = await loadReconciliations(tracking)
    const query = { after, selection: null, asOf, unnamed: new UnnamedRows() }
    const { next, found } = await reconcilePage({ replica, tracking }, widgets, query)
    const kinds = [...found.keys()].filter((kind) => foundOf(found, kind) > 0)
    if (kinds.length > 0) throw new Error(`Both are in step, but ${kinds.join(', ')} were found`)
    after = next
    more = after !== null
  }
  if (pages < rows / 10_000) throw new Error(`${pages} pages cannot hold ${rows} ids`)
}

/** As fast as anything could: each list as one COPY in text, which nobody parses. */
async function readBothLists({ standbyUrl, trackingUrl }: SpecDatabases, rows: number): Promise<void> {
  for (const [url, sql] of [
    [standbyUrl, 'select id from widgets where file_path is not null order by id'],
    [trackingUrl, 'select widget_id from widget_registry order by widget_id'],
  ] as const) {
    const { stdout } = await run('psql', [url, '-qAtc', `copy (${sql}) to stdout`], { maxBuffer: 1e9 })
    const lines = stdout.split('\n').length - 1
    if (lines !== rows) throw new Error(`psql read ${lines} ids of ${rows}`)
  }
}
