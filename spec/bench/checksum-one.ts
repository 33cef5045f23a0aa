import { join } from 'node:path'
import { ChecksumPool } from '../../lib/verification/checksum.ts'
import { warm, writeFile } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { compared, interleaved, secondsOf } from './rounds.ts'
import { xxhsum } from './xxhsum.ts'

const GIB = 1024 ** 3
const REACH = 0.9

export const checksumOne: Measurement = {
  title: 'one 1 GiB file in one thread, from the page cache, against xxhsum -H64',

  async measure(bench: Bench) {
    const root = await bench.folders.fresh('one-file')
    const bytes = scaled(bench, GIB)
    writeFile(join(root, 'file'), bytes, 1)
    warm(root, ['file'])
    const expected = (await xxhsum(root, ['file'])).get('file')
    const pool = new ChecksumPool(1)
    try {
      const samples = await interleaved(bench, {
        ours: async () => {
          let hex: string | undefined
          const seconds = await secondsOf(async () => {
            hex = (await pool.digestOf(root, 'file', 'xxh64'))?.hex
          })
          if (hex !== expected) throw new Error(`ours says ${hex}, xxhsum ${expected}`)
          return seconds
        },
        xxhsum: () => secondsOf(() => xxhsum(root, ['file'])),
      })
      const gigabytesPerS = Number((bytes / samples.ours.medianS / 1e9).toFixed(2))
      return compared(samples.ours, samples.xxhsum, REACH, { bytes, gigabytesPerS, ...samples })
    } finally {
      await pool.close()
    }
  },
}
