import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { warm } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { replicate, requireSame } from './replicate.ts'
import { compared, interleaved, secondsOf } from './rounds.ts'
import { type BenchSites, openSites } from './sites.ts'

const run = promisify(execFile)
const COUNT = 10_000
const BYTES = 10 * 1024
const REACH = 3
const LOOP = fileURLToPath(new URL('mirror-loop-peer.ts', import.meta.url))

export const mirrorLoop: Measurement = {
  title: `${COUNT} blobs of 10 KiB from row to verified, against a loop that fetches, writes and marks ten at a time`,

  async measure(bench: Bench) {
    const count = scaled(bench, COUNT)
    const ours = await openSites(bench)
    // Sites of its own: rows of the one are none of the other's.
    const theirs = await openSites(bench)
    try {
      await theirs.setFlags({ widgets: false, gadgets: false })
      await theirs.databases.tracking.raw('create table mirrored (widget_id bigint primary key)')
      const samples = await interleaved(bench, {
        ours: () => replicate(ours, { count, bytes: BYTES }),
        loop: (round) => mirror(bench, theirs, count, round),
      })
      return compared(samples.ours, samples.loop, REACH, samples)
    } finally {
      await Promise.all([ours.close(), theirs.close()])
    }
  },
}

async function mirror(bench: Bench, sites: BenchSites, count: number, round: number): Promise<number> {
  const prepared = sites.prepare(`loop-${round}`, count, BYTES)
  warm(sites.primary.blobsDir, prepared.keys)
  const to = await bench.folders.fresh(`loop-${round}`)
  const { mainUrl, trackingUrl } = sites.databases
  await sites.publish(prepared)
  const seconds = await secondsOf(() => run(process.execPath, [LOOP, mainUrl, trackingUrl, sites.primary.url, to]))
  await requireSame(prepared.folder, `${to}/loop-${round}`, count)
  const marks = await sites.databases.tracking('mirrored').count<{ count: string }[]>()
  if (Number(marks[0]?.count) !== count * (round + 1)) throw new Error('The loop did not mark every row')
  return seconds
}
