import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Knex } from 'knex'
import { SiteClient } from '../support/site-client.ts'
import { warm } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { compared, interleaved, secondsOf } from './rounds.ts'
import { openSites } from './sites.ts'

const run = promisify(execFile)
const COUNT = 100_000
const BYTES = 10 * 1024
const REACH = 1.5
const LOOK_EVERY_MS = 200

export const verify: Measurement = {
  title: '100,000 blobs of 10 KiB verified again on one site, against rclone hashsum of the folder',

  async measure(bench: Bench) {
    const count = scaled(bench, COUNT)
    const sites = await openSites(bench)
    const client = new SiteClient(sites.adminToken)
    const { main } = sites.databases
    try {
      await sites.secondary.stop()
      const { keys, folder } = sites.prepare('files', count, BYTES)
      await insertUnverified(main, keys)
      await untilVerified(main, count, null)
      warm(sites.primary.blobsDir, keys)
      const samples = await interleaved(bench, {
        ours: async () => {
          const { rows } = await main.raw('select clock_timestamp() as now')
          const since: Date = rows[0].now
          await client.startBulk(sites.primary.url, { action: 'reverify', type: 'widget' })
          await untilVerified(main, count, since)
          const last = await main('widget_states').max<{ at: Date }>('verified_at as at').first()
          if (!last) throw new Error('Nothing was verified')
          return (last.at.getTime() - since.getTime()) / 1000
        },
        // The cheapest of what this version knows.
        rclone: () => secondsOf(() => hashsum('crc32', folder, count)),
        rcloneMd5: () => secondsOf(() => hashsum('md5', folder, count)),
      })
      const faster = samples.rclone.medianS < samples.rcloneMd5.medianS ? samples.rclone : samples.rcloneMd5
      const blobsPerS = Math.round(count / samples.ours.medianS)
      return compared(samples.ours, faster, REACH, { blobsPerS, ...samples })
    } finally {
      await client.close()
      await sites.close()
    }
  },
}

async function insertUnverified(main: Knex, keys: readonly string[]): Promise<void> {
  await main.raw('insert into widgets (name, file_path) select key, key from unnest(?::text[]) as f(key)', [[...keys]])
  await main.raw('insert into widget_states (widget_id, verification_state) select id, 0 from widgets')
  await main.raw('vacuum analyze widgets')
  await main.raw('vacuum analyze widget_states')
}

async function untilVerified(main: Knex, count: number, since: Date | null): Promise<void> {
  for (;;) {
    const verified = main('widget_states').where({ verification_state: 2 })
    if (since) verified.where('verified_at', '>', since)
    const found = await verified.count<{ n: string }>('* as n').first()
    if (Number(found?.n) === count) return
    await sleep(LOOK_EVERY_MS)
  }
}

async function hashsum(hash: string, folder: string, count: number): Promise<void> {
  const { stdout } = await run('rclone', ['hashsum', hash, folder, '--config', '/dev/null'], { maxBuffer: 2 ** 28 })
  const lines = stdout.split('\n').length - 1
  if (lines !== count) throw new Error(`rclone told of ${lines} files of ${count}`)
}
