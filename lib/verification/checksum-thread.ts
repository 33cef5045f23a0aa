import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { confinedPath } from '../blob/confine.ts'
import { failureOf } from '../blob/disk-failure.ts'
import { type Hasher, hasherFor } from '../blob/hasher.ts'
import { GeoError } from '../errors.ts'
import type { ChecksumResult, ChecksumTask } from './checksum.ts'

// Trials: 1 MiB reads were far slower on cold files than 128 KiB, and no faster on warm ones.
const chunk = Buffer.allocUnsafeSlow(128 * 1024)

function hashFile(path: string, hasher: Hasher): { hex: string; bytes: number } {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) throw new GeoError('NOT_A_FILE', `${path} is not a regular file`)
    let bytes = 0
    for (;;) {
      const read = readSync(file, chunk, 0, chunk.length, null)
      if (read === 0) return { hex: hasher.digestHex(), bytes }
      hasher.update(chunk.subarray(0, read))
      bytes += read
    }
  } finally {
    closeSync(file)
  }
}

/** The piscina task. A file that cannot be hashed is a result, not an exception, so that it does not cost the batch. */
export default async function checksumAll(tasks: readonly ChecksumTask[]): Promise<ChecksumResult[]> {
  const results: ChecksumResult[] = []
  for (const { root, key, algorithm } of tasks) {
    try {
      results.push({ ok: true, ...hashFile(confinedPath(root, key), await hasherFor(algorithm)) })
    } catch (reason) {
      const failure = failureOf(reason, key)
      const missing = failure.code === 'FILE_MISSING' && {
        message: `File is not checksummable - file does not exist at: ${key}`,
      }
      results.push({ ok: false, ...failure, ...missing })
    }
  }
  return results
}
