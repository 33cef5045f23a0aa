import { closeSync, fsyncSync, lstatSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { confinedPath } from '../blob/confine.ts'
import { failureOf } from '../blob/disk-failure.ts'
import type { ErrorCode } from '../errors.ts'
import type { ReceivedBlob } from './blob-order.ts'

export const DESTINATION_IS_FOLDER = 'Skipping transfer as destination exist and is a directory'

export interface PlaceTask {
  readonly root: string
  readonly durable: boolean
  readonly blobs: readonly ReceivedBlob[]
  /** Until when their lease lives, as `process.hrtime.bigint()` counts; shared. Without it they are nobody else's. */
  readonly endsAt?: BigInt64Array
}

/** Why a blob could not get its name; null where it has it. */
export type Placed = { readonly code: ErrorCode; readonly message: string } | null

/**
 * Runs in a thread: gives received blobs their names, then syncs each folder once. In the order of the blobs. Null where the
 * lease ended before the last of them had its name: the whole process may have been stopped for a while, and the database may
 * have given up the lock that it holds.
 */
export function placeBlobs({ root, durable, blobs, endsAt }: PlaceTask): Placed[] | null {
  const folders = new Set<string>()
  const placed: Placed[] = []
  for (const blob of blobs) {
    if (endsAt && process.hrtime.bigint() >= Atomics.load(endsAt, 0)) return null
    placed.push(placeBlob(root, blob, folders))
  }
  if (durable) for (const folder of folders) syncFolder(folder)
  return placed
}

function placeBlob(root: string, blob: ReceivedBlob, folders: Set<string>): Placed {
  try {
    const path = confinedPath(root, blob.key)
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      removeAll(blob)
      return { code: 'NOT_A_FILE', message: DESTINATION_IS_FOLDER }
    }
    renameSync(blob.temporaryPath, path)
    if (blob.notePath !== null) removeQuietly(blob.notePath)
    for (const folder of blob.folders) folders.add(folder)
    return null
  } catch (reason) {
    removeAll(blob)
    const { code, message } = failureOf(reason, blob.key)
    return {
      code: code === 'FILE_MISSING' ? 'STORAGE_ERROR' : code,
      message: `Error moving the file into place: ${message}`,
    }
  }
}

function removeAll({ temporaryPath, notePath }: ReceivedBlob): void {
  removeQuietly(temporaryPath)
  if (notePath !== null) removeQuietly(notePath)
}

/** Runs in a thread: removes what has arrived and is not wanted any more. */
export function discardBlobs(paths: readonly string[]): void {
  for (const path of paths) removeQuietly(path)
}

/** Removes a file that need not be there. */
export function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') throw reason
  }
}

/** Makes the entries of a folder durable. */
export function syncFolder(folder: string): void {
  const handle = openNearest(folder)
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

// A removal may have taken an emptied folder away; then it is its parent's entry that has to be durable.
function openNearest(folder: string): number {
  try {
    return openSync(folder, 'r')
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw reason
    return openNearest(dirname(folder))
  }
}
