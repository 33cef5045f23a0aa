import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { warm } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { copyByRclone, serveByRclone } from './rclone.ts'
import { replicate } from './replicate.ts'
import { interleaved, ratioOf, secondsOf } from './rounds.ts'
import { openSites } from './sites.ts'
import { xxhsum } from './xxhsum.ts'

const run = promisify(execFile)
const BYTES = 2 * 1024 ** 3
const REACH = 0.9

export const largeBlob: Measurement = {
  title: 'one blob of 2 GiB from row to verified, against the faster of curl and rclone, and xxhsum',

  async measure(bench: Bench) {
    const bytes = scaled(bench, BYTES)
    const sites = await openSites(bench)
    try {
      const samples = await interleaved(bench, {
        ours: () => replicate(sites, { count: 1, bytes }),
        curl: async (round) => {
          const { folder, keys } = sites.prepare(`curl-${round}`, 1, bytes)
          warm(sites.primary.blobsDir, keys)
          const to = await bench.folders.fresh(`curl-${round}`)
          const server = await serveByRclone(folder)
          try {
            return await fetched(folder, to, '0.bin', () =>
              run('curl', ['-sS', '--fail', '-o', join(to, '0.bin'), `${server.url}/0/0.bin`]),
            )
          } finally {
            await server.stop()
          }
        },
        rclone: async (round) => {
          const { folder, keys } = sites.prepare(`rclone-${round}`, 1, bytes)
          warm(sites.primary.blobsDir, keys)
          const to = await bench.folders.fresh(`rclone-${round}`)
          const server = await serveByRclone(folder)
          try {
            return await fetched(folder, to, '0/0.bin', () => copyByRclone(server.url, to, { sync: false }))
          } finally {
            await server.stop()
          }
        },
      })
      const faster = samples.curl.medianS < samples.rclone.medianS ? samples.curl : samples.rclone
      const ratio = ratioOf(samples.ours, faster)
      const megabytesPerS = Math.round(bytes / samples.ours.medianS / 1e6)
      return { ratio, reach: `≥ ${REACH}`, reached: ratio >= REACH, figures: { bytes, megabytesPerS, ...samples } }
    } finally {
      await sites.close()
    }
  },
}

/** Fetches, and hashes what has come; both are timed, for ours does both. */
async function fetched(from: string, to: string, name: string, fetch: () => Promise<unknown>): Promise<number> {
  let got: string | undefined
  const seconds = await secondsOf(async () => {
    await fetch()
    got = (await xxhsum(to, [name])).get(name)
  })
  const sent = (await xxhsum(from, ['0/0.bin'])).get('0/0.bin')
  if (got !== sent) throw new Error(`${name} came as ${got}, not as ${sent}`)
  return seconds
}
