import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { confinedPath } from '../blob/confine.ts'
import type { Digest } from '../blob/digest.ts'
import { failureOf } from '../blob/disk-failure.ts'
import { hasherFor } from '../blob/hasher.ts'
import { GeoError } from '../errors.ts'
import type { ChecksumResult, ChecksumTask } from './checksum.ts'

// Trials: 1 MiB reads were far slower on cold files than 128 KiB, and no faster on warm ones.
const chunk = Buffer.allocUnsafeSlow(128 * 1024)
const BYTES_PER_RUN = 256 * 1024 * 1024

async function hashFile({ root, key, algorithms }: ChecksumTask): Promise<{ digests: Digest[]; bytes: number }> {
  const hashers = await Promise.all(algorithms.map(hasherFor))
  const file = openSync(confinedPath(root, key), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) throw new GeoError('NOT_A_FILE', `${key} is not a regular file`)
    let bytes = 0
    for (;;) {
      const read = readSync(file, chunk, 0, chunk.length, null)
      if (read === 0) break
      const part = chunk.subarray(0, read)
      for (const hasher of hashers) hasher.update(part)
      bytes += read
    }
    const hexes = hashers.map((hasher) => hasher.digestHex())
    return { digests: algorithms.map((algorithm, position) => ({ algorithm, hex: hexes[position] ?? '' })), bytes }
  } finally {
    closeSync(file)
  }
}

/** The piscina task. A file that cannot be hashed is a result, not an exception, so that it does not cost the batch. */
export default async function checksumSome(tasks: readonly ChecksumTask[]): Promise<ChecksumResult[]> {
  const results: ChecksumResult[] = []
  let bytes = 0
  for (const task of tasks) {
    if (bytes >= BYTES_PER_RUN) break
    try {
      const hashed = await hashFile(task)
      bytes += hashed.bytes
      results.push({ ok: true, ...hashed })
    } catch (reason) {
      const failure = failureOf(reason, task.key)
      const missing = failure.code === 'FILE_MISSING' && {
        message: `File is not checksummable - file does not exist at: ${task.key}`,
      }
      results.push({ ok: false, ...failure, ...missing })
    }
  }
  return results
}
