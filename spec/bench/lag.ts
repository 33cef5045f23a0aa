import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../../fixtures/demo/figures.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { openSites } from './sites.ts'

const PER_S = 50
const SECONDS = 60
const WARM_UP = 200
const BYTES = 10 * 1024
const REACH_MS = { p50: 500, p99: 2000 }

export const lag: Measurement = {
  title: `from the commit of a row to its verified copy, at ${PER_S} blobs a second with nothing else to do`,

  async measure(bench: Bench) {
    const sites = await openSites(bench)
    try {
      const warmUp = sites.prepare('warm-up', WARM_UP, BYTES)
      await sites.publish(warmUp)
      await sites.untilAllVerified()
      const count = scaled(bench, PER_S * SECONDS)
      const { keys, folder } = sites.prepare('steady', count, BYTES)
      const committedAtMs = new Map<string, number>()
      const beganMs = performance.now()
      for (const [number, key] of keys.entries()) {
        const dueMs = beganMs + (number * 1000) / PER_S
        if (dueMs > performance.now()) await sleep(dueMs - performance.now())
        committedAtMs.set(key, await sites.publish({ keys: [key], folder }))
      }
      await sites.untilAllVerified()
      const rows: { key: string; at: number }[] = await sites.databases
        .tracking('widget_registry')
        .select('blob_key as key')
        .select(sites.databases.tracking.raw('(extract(epoch from verified_at) * 1000)::float8 as at'))
      const lags = rows.flatMap(({ key, at }) => {
        const committed = committedAtMs.get(key)
        return committed === undefined ? [] : [at - committed]
      })
      if (lags.length !== count) throw new Error(`${lags.length} of ${count} blobs were verified`)
      const figures = Object.fromEntries(
        [0.5, 0.9, 0.99, 1].map((share) => [`p${share * 100}Ms`, Math.round(percentile(lags, share))]),
      )
      const { p50Ms = Infinity, p99Ms = Infinity } = figures
      const reached = p50Ms <= REACH_MS.p50 && p99Ms <= REACH_MS.p99
      const measured = `p50 ${p50Ms} ms, p99 ${p99Ms} ms`
      return { ratio: null, reach: 'p50 ≤ 500 ms, p99 ≤ 2 s', measured, reached, figures: { blobs: count, ...figures } }
    } finally {
      await sites.close()
    }
  },
}
