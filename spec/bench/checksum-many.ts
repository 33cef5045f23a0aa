import { join } from 'node:path'
import { defaultThreads } from '../../lib/resources.ts'
import { ChecksumPool, type ChecksumTask } from '../../lib/verification/checksum.ts'
import { warm, writeFile } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { compared, interleaved, secondsOf } from './rounds.ts'
import { xxhsum } from './xxhsum.ts'

const SMALL = { count: 20_000, bytes: 10 * 1024 }
const LARGE = { count: 20, bytes: 64 * 1024 * 1024 }
const PER_FOLDER = 500
// As verification asks for them.
const PER_BATCH = 100
const REACH = 1.2

export const checksumMany: Measurement = {
  title: '20,000 files of 10 KiB and 20 of 64 MiB through the pool, against xxhsum -H64 over the same list',

  async measure(bench: Bench) {
    const root = await bench.folders.fresh('many-files')
    const sizes = [SMALL, LARGE].flatMap(({ count, bytes }) => Array<number>(scaled(bench, count)).fill(bytes))
    const names = sizes.map((bytes, number) => {
      const name = `${Math.floor(number / PER_FOLDER)}/${number}`
      writeFile(join(root, name), bytes, number)
      return name
    })
    warm(root, names)
    const expected = await xxhsum(root, names)
    const pool = new ChecksumPool(defaultThreads())
    try {
      const samples = await interleaved(bench, {
        ours: async () => {
          let sums = new Map<string, string>()
          const seconds = await secondsOf(async () => {
            sums = await hashAll(pool, root, names)
          })
          for (const [name, sum] of expected) {
            if (sums.get(name) !== sum) throw new Error(`ours says ${sums.get(name)} of ${name}, xxhsum ${sum}`)
          }
          return seconds
        },
        xxhsum: () => secondsOf(() => xxhsum(root, names)),
      })
      const filesPerS = Math.round(names.length / samples.ours.medianS)
      return compared(samples.ours, samples.xxhsum, REACH, { filesPerS, threads: pool.threads, ...samples })
    } finally {
      await pool.close()
    }
  },
}

/** In batches, as many at once as verification has at work: one more than there are threads. */
async function hashAll(pool: ChecksumPool, root: string, names: readonly string[]): Promise<Map<string, string>> {
  const sums = new Map<string, string>()
  const batches: string[][] = []
  for (let at = 0; at < names.length; at += PER_BATCH) batches.push(names.slice(at, at + PER_BATCH))
  const worker = async (): Promise<void> => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      const tasks = batch.map((key): ChecksumTask => ({ root, key, algorithms: ['xxh64'] }))
      while (tasks.length > 0) {
        const results = await pool.checksumSome(tasks)
        for (const [position, { key }] of tasks.splice(0, results.length).entries()) {
          const result = results[position]
          if (!result?.ok) throw new Error(`${key} could not be hashed: ${result?.message}`)
          sums.set(key, result.digests[0]?.hex ?? '')
        }
      }
    }
  }
  await Promise.all(Array.from({ length: pool.threads + 1 }, worker))
  return sums
}
