import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { Knex } from 'knex'
import { percentile } from '../../fixtures/demo/figures.ts'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { openDatabases } from './database.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { interleaved, secondsInWords, secondsOf } from './rounds.ts'

const ROWS = 1_000_000
const REQUESTS = 300
const SECONDARY = 'paris'
const REACH = { gatherS: 1, requestMs: 5 }

export const status: Measurement = {
  title: 'gathering the status of a site with 1,000,000 rows of a type, and asking for it',

  async measure(bench: Bench) {
    const rows = scaled(bench, ROWS)
    const databases = await openDatabases()
    const folder = await bench.folders.fresh('blobs')
    const { widgets } = declareReplicables(folder)
    const sites: Assembly[] = []
    const siteOf = (siteName: string, mainDb: Knex, trackingDb?: Knex): Assembly => {
      const common = { encryptionKey: ENCRYPTION_KEY.toString('hex'), threads: 1, work: false }
      const options = { replicables: [widgets], features: { isEnabled: () => true }, authorize: () => true, ...common }
      const site = assemble(parseOptions({ siteName, mainDb, ...(trackingDb && { trackingDb }), ...options }))
      sites.push(site)
      return site
    }
    const { main, standby, tracking } = databases
    try {
      await addSites(main, SECONDARY)
      await fill(main, tracking, rows)
      await databases.caughtUp()
      const primary = siteOf('rome', main)
      const secondary = siteOf(SECONDARY, standby, tracking)
      for (const site of sites) await site.sites.refresh()
      const server = createServer(express().use(secondary.router))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v4/geo_nodes/${secondary.sites.requireMe().id}/status`
      try {
        const samples = await interleaved(bench, {
          primary: () => secondsOf(() => primary.viewing.gathering.gather()),
          secondary: () => secondsOf(() => secondary.viewing.gathering.gather()),
        })
        const requestMs = await timesOf(url, rows)
        const p50Ms = Number(percentile(requestMs, 0.5).toFixed(2))
        const p99Ms = Number(percentile(requestMs, 0.99).toFixed(2))
        const gatherS = Math.max(samples.primary.medianS, samples.secondary.medianS)
        return {
          ratio: null,
          reach: `gathered within ${REACH.gatherS} s, asked for within ${REACH.requestMs} ms`,
          measured:
            `gathered within ${secondsInWords(samples.primary)} on the primary, ` +
            `${secondsInWords(samples.secondary)} on the secondary; asked for within ${p50Ms} ms`,
          reached: gatherS <= REACH.gatherS && p50Ms <= REACH.requestMs,
          figures: { rows, request: { p50Ms, p99Ms }, gathering: samples },
        }
      } finally {
        server.closeAllConnections()
        server.close()
      }
    } finally {
      for (const site of sites) await site.stop()
      await databases.destroy()
    }
  },
}

async function fill(main: Knex, tracking: Knex, rows: number): Promise<void> {
  await main.raw(`insert into widgets (name, file_path) select 'w', 'f' || n from generate_series(1, ?::int) n`, [rows])
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum, verified_at)
     select id, case when id % 100 = 0 then 3 when id % 50 = 0 then 0 else 2 end,
       '\\x01'::bytea || decode(lpad(to_hex(id), 16, '0'), 'hex'), now() from widgets`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, state, verification_state, verification_checksum, bytes, blob_key, created_at, announced_at)
     select n, case when n % 20 = 0 then 0 when n % 33 = 0 then 3 else 2 end, case when n % 20 = 0 or n % 33 = 0 then 0 else 2 end,
       '\\x01'::bytea || decode(lpad(to_hex(n), 16, '0'), 'hex'), case when n % 20 > 0 then 10240 end, 'f' || n, now(), now()
     from generate_series(1, ?::int) n`,
    [rows],
  )
  for (const table of ['widgets', 'widget_states']) await main.raw('vacuum analyze ??', [table])
  await tracking.raw('vacuum analyze widget_registry')
}

async function timesOf(url: string, rows: number): Promise<number[]> {
  const times: number[] = []
  for (let number = 0; number < REQUESTS; number += 1) {
    const beganMs = performance.now()
    const response = await fetch(url)
    const told = (await response.json()) as { widgets_registry_count?: number }
    times.push(performance.now() - beganMs)
    if (told.widgets_registry_count !== rows)
      throw new Error(`${response.status}: ${JSON.stringify(told).slice(0, 300)}`)
  }
  return times.slice(REQUESTS / 10)
}
