import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { READ_UNFOLLOWED } from '../blob/unfollowed.ts'
import { GeoError } from '../errors.ts'
import { SMALL_BLOB_BYTES } from './frame.ts'

/**
 * All of a small file; of one that is not, or has more than `room` bytes, only how many it has. Throws what the disk says, and
 * GeoError `NOT_A_FILE`.
 */
export function readSmall(path: string, room: number): { bytes: number; body: Buffer | null } {
  const file = openSync(path, READ_UNFOLLOWED)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new GeoError('NOT_A_FILE', 'Something other than a regular file lies there')
    if (stat.size > SMALL_BLOB_BYTES || stat.size > room) return { bytes: stat.size, body: null }
    const body = Buffer.allocUnsafe(stat.size)
    let bytes = 0
    while (bytes < body.length) {
      const read = readSync(file, body, bytes, body.length - bytes, null)
      if (read === 0) break
      bytes += read
    }
    return { bytes, body: body.subarray(0, bytes) }
  } finally {
    closeSync(file)
  }
}
