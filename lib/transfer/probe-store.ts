import { randomUUID } from 'node:crypto'
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type DiskFailure, failureOf } from '../blob/disk-failure.ts'
import { ROOM_BYTES } from '../blob/writable-stores.ts'
import { TEMPORARY_PREFIX } from './part.ts'
import { removeQuietly } from './place.ts'

const zeros = Buffer.alloc(128 * 1024)

/** Runs in a thread: why the store takes no file of some size, durably, or null. */
export function probeStore(root: string): DiskFailure | null {
  const path = join(root, `${TEMPORARY_PREFIX}probe-${randomUUID()}`)
  try {
    const file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666)
    try {
      for (let written = 0; written < ROOM_BYTES; ) written += writeSync(file, zeros, 0, zeros.length, written)
      fsyncSync(file)
    } finally {
      closeSync(file)
      removeQuietly(path)
    }
    return null
  } catch (reason) {
    const failure = failureOf(reason, root)
    return failure.code === 'FILE_MISSING' ? { ...failure, code: 'STORAGE_ERROR' } : failure
  }
}
