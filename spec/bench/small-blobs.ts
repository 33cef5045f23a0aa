import { warm } from './files.ts'
import { type Bench, type Measurement, type Outcome, scaled } from './measurement.ts'
import { copyByRclone, serveByRclone } from './rclone.ts'
import { replicate, requireSame } from './replicate.ts'
import { interleaved, inWords, ratioOf, type Sample, secondsOf } from './rounds.ts'
import { type BenchSites, openSites } from './sites.ts'

const COUNT = 10_000
const BYTES = 10 * 1024
const REACH = { durable: 1.5, fast: 2 }

export const smallBlobs: Measurement = {
  title: `${COUNT} blobs of 10 KiB from row to verified, against rclone copy --transfers 10 over HTTP and sync`,

  async measure(bench: Bench): Promise<Outcome> {
    const durable = await against(bench, true)
    const fast = await against(bench, false)
    const ratio = ratioOf(durable.ours, durable.rclone)
    const ratioNotDurable = ratioOf(fast.ours, fast.rclone)
    const blobsPerS = Math.round(scaled(bench, COUNT) / durable.ours.medianS)
    return {
      ratio,
      reach: `≥ ${REACH.durable}; durable off, without sync: ≥ ${REACH.fast}`,
      measured: `${inWords(durable.ours, durable.rclone)}; durable off ${inWords(fast.ours, fast.rclone)}`,
      reached: ratio >= REACH.durable && ratioNotDurable >= REACH.fast,
      figures: { ratioNotDurable, blobsPerS, ...durable, notDurable: { ...fast } },
    }
  },
}

async function against(bench: Bench, durable: boolean): Promise<{ ours: Sample; rclone: Sample }> {
  const sites = await openSites(bench, { environment: { DURABLE: String(durable) } })
  try {
    const count = scaled(bench, COUNT)
    return await interleaved(bench, {
      ours: () => replicate(sites, { count, bytes: BYTES }),
      rclone: (round) => copy(bench, sites, { name: `rclone-${round}`, count, durable }),
    })
  } finally {
    await sites.close()
  }
}

async function copy(
  bench: Bench,
  sites: BenchSites,
  { name, count, durable }: { name: string; count: number; durable: boolean },
): Promise<number> {
  const prepared = sites.prepare(name, count, BYTES)
  warm(sites.primary.blobsDir, prepared.keys)
  const to = await bench.folders.fresh(name)
  const server = await serveByRclone(prepared.folder)
  try {
    const seconds = await secondsOf(() => copyByRclone(server.url, to, { sync: durable }))
    await requireSame(prepared.folder, to, count)
    return seconds
  } finally {
    await server.stop()
  }
}
