import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { warm } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { copyByRclone, serveByRclone } from './rclone.ts'
import { replicate } from './replicate.ts'
import { compared, interleaved, secondsOf } from './rounds.ts'
import { type BenchSites, openSites, type Prepared } from './sites.ts'
import { xxhsum } from './xxhsum.ts'

const run = promisify(execFile)
const BYTES = 2 * 1024 ** 3
const REACH = 0.9
/** Where `prepare` puts the one file. */
const SENT = '0/0.bin'

export const largeBlob: Measurement = {
  title: 'one blob of 2 GiB from row to verified, against the faster of curl and rclone, and xxhsum',

  async measure(bench: Bench) {
    const bytes = scaled(bench, BYTES)
    const sites = await openSites(bench)
    try {
      // Both peers are served the same file. What has come is removed by all three: memory that nobody has used for a while costs a
      // virtual machine seconds to get for 2 GiB, and whoever kept its files would be the only one to pay for it.
      const sent = sites.prepare('peers', 1, bytes)
      warm(sites.primary.blobsDir, sent.keys)
      const samples = await interleaved(bench, {
        ours: () => ours(sites, bytes),
        curl: (round) =>
          peer(bench, sent, { name: `curl-${round}`, file: '0.bin' }, (url, to) =>
            run('curl', ['-sS', '--fail', '-o', join(to, '0.bin'), `${url}/${SENT}`]),
          ),
        rclone: (round) =>
          peer(bench, sent, { name: `rclone-${round}`, file: SENT }, (url, to) =>
            copyByRclone(url, to, { sync: false }),
          ),
      })
      const faster = samples.curl.medianS < samples.rclone.medianS ? samples.curl : samples.rclone
      const megabytesPerS = Math.round(bytes / samples.ours.medianS / 1e6)
      return compared(samples.ours, faster, REACH, { bytes, megabytesPerS, ...samples })
    } finally {
      await sites.close()
    }
  },
}

async function ours(sites: BenchSites, bytes: number): Promise<number> {
  const folders: string[] = []
  const seconds = await replicate(
    sites,
    { count: 1, bytes },
    { onSame: async (from, to) => void folders.push(from, to) },
  )
  for (const folder of folders) await rm(folder, { recursive: true })
  return seconds
}

/** Fetches one file from rclone's server, and hashes what has come as `file`; both are timed, for ours does both. */
async function peer(
  bench: Bench,
  { folder }: Prepared,
  { name, file }: { name: string; file: string },
  fetch: (url: string, to: string) => Promise<unknown>,
): Promise<number> {
  const to = await bench.folders.fresh(name)
  const server = await serveByRclone(folder)
  try {
    let got: string | undefined
    const seconds = await secondsOf(async () => {
      await fetch(server.url, to)
      got = (await xxhsum(to, [file])).get(file)
    })
    const sent = (await xxhsum(folder, [SENT])).get(SENT)
    if (got !== sent) throw new Error(`${name}: ${file} came as ${got}, not as ${sent}`)
    await rm(join(to, file))
    return seconds
  } finally {
    await server.stop()
  }
}
