import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { standBack } from '../background-priority.ts'
import { confinedPath } from '../blob/confine.ts'
import type { Digest } from '../blob/digest.ts'
import { failureOf } from '../blob/disk-failure.ts'
import { type Hashing, loadHashing } from '../blob/hasher.ts'
import { READ_UNFOLLOWED } from '../blob/unfollowed.ts'
import { GeoError } from '../errors.ts'
import { type ChecksumReply, type ChecksumRun, countBytes, takeTurn } from './checksum-run.ts'
import { missingText } from './failure-text.ts'

standBack()

// Trials: 1 MiB reads were far slower on cold files than 128 KiB, and no faster on warm ones.
const chunk = Buffer.allocUnsafeSlow(128 * 1024)

type Algorithms = readonly Digest['algorithm'][]

/** Adds the digests to `hexes`, one for each algorithm, and returns how many bytes there were. */
function hashFile(hashing: Hashing, root: string, key: string, algorithms: Algorithms, hexes: string[]): number {
  const file = openSync(confinedPath(root, key), READ_UNFOLLOWED)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new GeoError('NOT_A_FILE', `${key} is not a regular file`)
    const first = readSync(file, chunk, 0, chunk.length, null)
    if (first !== stat.size || first === chunk.length) return hashRest(hashing, file, first, algorithms, hexes)
    const bytes = chunk.subarray(0, first)
    for (const algorithm of algorithms) hexes.push(hashing.digestHexOf(algorithm, bytes))
    return first
  } finally {
    closeSync(file)
  }
}

/** Of all there is from the first piece, which lies in the chunk, to the end. */
function hashRest(hashing: Hashing, file: number, first: number, algorithms: Algorithms, hexes: string[]): number {
  const hashers = algorithms.map((algorithm) => hashing.hasherFor(algorithm))
  let bytes = 0
  for (let read = first; read > 0; read = readSync(file, chunk, 0, chunk.length, null)) {
    const part = chunk.subarray(0, read)
    for (const hasher of hashers) hasher.update(part)
    bytes += read
  }
  for (const hasher of hashers) hexes.push(hasher.digestHex())
  return bytes
}

/**
 * The piscina task: hashes files until none is left or enough has been hashed. A file that cannot be hashed is a result, not an
 * exception, so that it does not cost the batch.
 */
export default async function checksumSome(run: ChecksumRun): Promise<ChecksumReply> {
  const hashing = await loadHashing()
  const files = run.groups.flatMap((group) => group.keys.map((key) => ({ group, key })))
  const reply: ChecksumReply = { positions: [], hexes: [], bytes: [], failures: [] }
  for (let turn = takeTurn(run, files.length); turn !== null; turn = takeTurn(run, files.length)) {
    const file = files[turn]
    if (!file) break
    const { key, group } = file
    reply.positions.push(turn)
    const hexesBefore = reply.hexes.length
    try {
      const bytes = hashFile(hashing, group.root, key, group.algorithms, reply.hexes)
      countBytes(run, bytes)
      reply.bytes.push(bytes)
    } catch (reason) {
      reply.hexes.length = hexesBefore
      const failure = failureOf(reason, key)
      reply.failures.push(failure.code === 'FILE_MISSING' ? { ...failure, message: missingText(key) } : failure)
      reply.bytes.push(-1)
    }
  }
  return reply
}
