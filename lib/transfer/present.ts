import { closeSync, fstatSync, fsyncSync, openSync, readSync } from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { confinedPath } from '../blob/confine.ts'
import { hasherFor } from '../blob/hasher.ts'
import { READ_UNFOLLOWED } from '../blob/unfollowed.ts'
import type { WantedBlob } from './blob-order.ts'
import { syncFolder } from './place.ts'

export interface PresentTask {
  readonly root: string
  readonly durable: boolean
  readonly blobs: readonly WantedBlob[]
}

const chunk = Buffer.allocUnsafeSlow(128 * 1024)
const READS_PER_TURN = 64

/**
 * Runs in a thread: which of the blobs lie in their places already, brought by other means. Size in bytes where the stored
 * bytes were hashed and are what is expected, now durable like any other; null where not, in the order of the blobs.
 */
export async function findPresent({ root, durable, blobs }: PresentTask): Promise<(number | null)[]> {
  const folders = new Set<string>()
  const sizes: (number | null)[] = []
  for (const blob of blobs) {
    const found = await sizeIfRight(root, blob, durable)
    sizes.push(found?.bytes ?? null)
    // Whoever brought the file may have made any of the folders above it.
    for (let above = found && dirname(found.path); above && above.length >= root.length; above = dirname(above)) {
      folders.add(above)
    }
  }
  try {
    if (durable) for (const folder of folders) syncFolder(folder)
    return sizes
  } catch {
    // Nothing is durable then: all are fetched, and what is wrong with the disk is told of them.
    return blobs.map(() => null)
  }
}

async function sizeIfRight(
  root: string,
  { key, expected }: WantedBlob,
  durable: boolean,
): Promise<{ path: string; bytes: number } | null> {
  if (!expected) return null
  let file: number | null = null
  try {
    const path = confinedPath(root, key)
    file = openSync(path, READ_UNFOLLOWED)
    if (!fstatSync(file).isFile()) return null
    const hasher = await hasherFor(expected.algorithm)
    let bytes = 0
    for (let reads = 1; ; reads += 1) {
      const read = readSync(file, chunk, 0, chunk.length, bytes)
      if (read === 0) break
      hasher.update(chunk.subarray(0, read))
      bytes += read
      // Transfers of this thread go on meanwhile.
      if (reads % READS_PER_TURN === 0) await nextTurn()
    }
    if (hasher.digestHex() !== expected.hex) return null
    if (durable) fsyncSync(file)
    return { path, bytes }
  } catch {
    // No file, or none that can be read: the blob is fetched, and what is wrong with its place is told then.
    return null
  } finally {
    if (file !== null) closeSync(file)
  }
}
