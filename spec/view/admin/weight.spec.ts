import { createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import express from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Assembly } from '../../../lib/assembly.ts'
import { assemble } from '../../../lib/geo.ts'
import { defineReplicable, localDisk } from '../../../lib/index.ts'
import { parseOptions } from '../../../lib/options.ts'
import { insertSite } from '../../../lib/site-table.ts'
import { createSpecDatabases, type SpecDatabases } from '../../support/databases.ts'
import { ENCRYPTION_KEY } from '../../support/fixture-rows.ts'
import { recordingLogger } from '../../support/recording-logger.ts'
import { timedStatements } from '../../support/timed-statements.ts'

const SITES = 20
const TYPES = 20
/** Over plain HTTP browsers take gzip alone. */
const MOST_BYTES = { br: 60_000, gzip: 70_000 }
const RENDERS = 20
const HOUR = 60

const names = Array.from({ length: TYPES }, (_, type) => `${String.fromCharCode(97 + type)}_kind`)
let databases: SpecDatabases
let rome: Assembly
let server: Server
let origin: string

beforeAll(async () => {
  databases = await createSpecDatabases()
  const store = localDisk({ root: tmpdir() })
  rome = assemble(
    parseOptions({
      siteName: 'rome',
      mainDb: databases.main,
      replicables: names.map((name) =>
        defineReplicable<{ id: string }>({
          name,
          table: `${name}s`,
          store,
          verificationState: 'separate',
          blob: ({ id }) => id,
        }),
      ),
      features: { isEnabled: () => true },
      authorize: () => true,
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      logger: recordingLogger(),
      threads: 1,
    }),
  )
  await insertSite(databases.main, ENCRYPTION_KEY, { name: 'rome', url: 'http://rome.test', primary: true })
  await addSecondaries(SITES - 1)
  server = createServer(express().use(rome.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await rome?.stop()
  await databases?.destroy()
})

/** Sites that differ in every figure, as sites do, each with the samples of an hour. */
async function addSecondaries(many: number): Promise<void> {
  const { main } = databases
  for (let site = 1; site <= many; site++)
    await insertSite(main, ENCRYPTION_KEY, { name: `site-${site}`, url: `https://site-${site}.example.test` })
  const ids: string[] = await main('geo_nodes').orderBy('id').pluck('id')
  await main('geo_node_statuses').insert(
    ids.map((id, site) => ({
      geo_node_id: id,
      status: JSON.stringify(statusOf(site)),
      updated_at: main.fn.now(),
      last_successful_status_check_at: main.fn.now(),
    })),
  )
  await main.raw(
    `insert into geo_status_samples (geo_node_id, replicable_name, sampled_at, backlog, blobs_per_second, bytes_per_second, lag_seconds)
     select node, type, date_trunc('minute', now()) - minute * interval '1 minute', (random() * 100000)::int, random() * 50,
       random() * 1e7, random() * 5000
     from unnest(?::bigint[]) node, unnest(?::text[]) type, generate_series(0, ${HOUR - 1}) minute`,
    [ids, names],
  )
}

function statusOf(site: number): Record<string, unknown> {
  const status: Record<string, unknown> = {
    healthy: true,
    version: '1.2.3',
    revision: 'abcdef01',
    db_replication_lag_seconds: site,
    last_event_id: 1_234_567,
    last_event_timestamp: 1_795_540_000,
    cursor_last_event_id: 1_234_567 - site * 7,
    cursor_last_event_timestamp: 1_795_540_000 - site,
    clock_skew_seconds: 0.01 * site,
  }
  const progress: Record<string, unknown> = {}
  for (const [type, name] of names.entries()) {
    const total = 1_000_003 + 7919 * (site * TYPES + type)
    const counts = {
      count: total,
      registry_count: total,
      synced_count: total - 101 * site - type,
      failed_count: site + type,
      checksum_total_count: total,
      checksummed_count: total - 13 * type,
      checksum_failed_count: type,
      verification_total_count: total - 101 * site - type,
      verified_count: total - 211 * site - 3 * type,
      verification_failed_count: type,
    }
    for (const [count, value] of Object.entries(counts)) status[`${name}s_${count}`] = value
    const rates = { last_minute: site * 1.7 + type, last_hour: site + type * 0.3 }
    progress[`${name}s`] = {
      blobs_per_second: rates,
      bytes_per_second: rates,
      oldest_unsynced_seconds: site * 61 + type,
      remaining_seconds: site * 67 + type * 3,
      corrupt_count: site === 0 ? type : null,
    }
  }
  return { ...status, progress }
}

const ask = (path: string, accepted: string) => fetch(`${origin}${path}`, { headers: { 'accept-encoding': accepted } })

/** What goes over the line; fetch itself unpacks what it is given. */
function weigh(path: string, encoding: 'br' | 'gzip') {
  return new Promise<{ bytes: number; text: string }>((resolve, reject) => {
    get(`${origin}${path}`, { headers: { 'accept-encoding': encoding } }, async (answer) => {
      const body = Buffer.concat(await answer.toArray())
      expect(answer.headers['content-encoding']).toBe(encoding)
      const text = (encoding === 'br' ? brotliDecompressSync(body) : gunzipSync(body)).toString('utf8')
      resolve({ bytes: body.length, text })
    }).on('error', reject)
  })
}

async function statements(): Promise<string[]> {
  const { main, mainHeartbeat } = rome.databases
  await rome.sites.refresh()
  const sent = await timedStatements([main, mainHeartbeat], async () => (await ask('/admin/geo/sites', 'br')).text())
  return sent.map(({ sql }) => sql)
}

describe('The sites page of 20 sites and 20 types', () => {
  it.each(['br', 'gzip'] as const)('is as light as it should be in %s, with its style and script', async (encoding) => {
    const page = await weigh('/admin/geo/sites', encoding)
    const parts = [...page.text.matchAll(/(?:href|src)="(\/admin\/geo\/assets\/[^"]*)"/g)].map(([, path]) =>
      String(path),
    )
    expect(parts).toHaveLength(2)
    const loaded = await Promise.all(parts.map((path) => weigh(path, encoding)))
    const bytes = loaded.reduce((sum, part) => sum + part.bytes, page.bytes)
    console.info(
      `${encoding}: ${bytes} bytes, of which the page ${page.bytes}; unpacked the page is ${page.text.length}`,
    )
    expect(bytes).toBeLessThan(MOST_BYTES[encoding])
  })

  it('has a row for each type at each site, and charts of each site', async () => {
    const text = await (await ask('/admin/geo/sites', 'br')).text()
    expect(text.match(/<details class="card"/g)).toHaveLength(SITES)
    expect(text.match(/popover id="(?:sync|checksums)-/g)).toHaveLength(SITES * TYPES)
    expect(text.match(/<path class="line"/g)).toHaveLength(2 + 3 * (SITES - 1))
    expect(text).not.toContain('Unknown</span>')
    expect(new Set(text.match(/ id="[^"]*"/g)).size).toBe(text.match(/ id="[^"]*"/g)?.length)
  })

  it('sends as many statements as that of one site', async () => {
    const all = await statements()
    const { main } = databases
    const nodes = await main('geo_nodes').where('primary', false)
    await main('geo_nodes').where('primary', false).delete()
    const one = await statements()
    expect(one).toEqual(all)
    expect(all.filter((sql) => sql.includes('select'))).toHaveLength(3)
    await main('geo_nodes').insert(nodes)
  })

  it('is made quickly: how quickly is told, not demanded', async () => {
    const tookMs: number[] = []
    for (let render = 0; render < RENDERS; render++) {
      const began = performance.now()
      await (await ask('/admin/geo/sites', 'br')).arrayBuffer()
      tookMs.push(performance.now() - began)
    }
    tookMs.sort((left, right) => left - right)
    console.info(
      `median of ${RENDERS} renders: ${tookMs[RENDERS / 2]?.toFixed(1)} ms, fastest ${tookMs[0]?.toFixed(1)} ms`,
    )
  })
})
