import { closeSync, fdatasyncSync, fsyncSync, linkSync, lstatSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { confinedPath } from '../blob/confine.ts'
import type { Digest } from '../blob/digest.ts'
import { type DiskFailure, failureOf } from '../blob/disk-failure.ts'
import { type Hashing, loadHashing } from '../blob/hasher.ts'
import type { ChecksumAlgorithm } from '../blob/replicable.ts'
import { READ_FOLDER, READ_UNFOLLOWED } from '../blob/unfollowed.ts'
import type { ErrorCode } from '../errors.ts'
import type { ReceivedBlob } from './blob-order.ts'
import { fileVersion } from './file-version.ts'
import { SMALL_BLOB_BYTES } from './frame.ts'
import { readSmall } from './read-small.ts'
import { Volume } from './volume.ts'

export const DESTINATION_IS_FOLDER = 'Skipping transfer as destination exist and is a directory'

export interface PlaceTask {
  readonly root: string
  readonly durable: boolean
  readonly blobs: readonly ReceivedBlob[]
  /**
   * `free`: names that nobody has, in one step with finding that out. `any`: an earlier file is replaced; the caller sees to it
   * that nobody else gives files their names meanwhile.
   */
  readonly names: 'free' | 'any'
  /** What a small file is hashed with once it has its name, unless what it is judged by is of another. */
  readonly algorithm: ChecksumAlgorithm
  /** The store that they are to lie in; not looked at where it is not given. */
  readonly storeId?: string | undefined
  /** Until when their lease lives, as `process.hrtime.bigint()` counts; shared. Without it they are nobody else's. */
  readonly endsAt?: BigInt64Array
}

export type Placed =
  /** It has its name; `digest` is of what lies there now, null where that was not hashed. */
  | { readonly outcome: 'placed'; readonly digest: Digest | null }
  /** Something has the name, or the file system cannot tell: the file waits under its temporary name. */
  | { readonly outcome: 'occupied' }
  /** `named`: it may have its name all the same. */
  | { readonly outcome: 'failed'; readonly code: ErrorCode; readonly message: string; readonly named: boolean }

/**
 * Runs in a thread: gives received blobs their names, then syncs each folder once. In the order of the blobs. Null where the
 * lease ended before the last of them had its name: the whole process may have been stopped for a while, and the database may
 * have given up the lock that it holds.
 */
export async function placeBlobs({ durable, blobs, endsAt, storeId, ...how }: PlaceTask): Promise<Placed[] | null> {
  const volume = storeId === undefined ? null : await Volume.of(how.root, storeId)
  const placing: Placing = { ...how, folders: new Set(), hashing: await loadHashing() }
  const placed: Placed[] = []
  for (const blob of blobs) {
    if (endsAt && process.hrtime.bigint() >= Atomics.load(endsAt, 0)) return null
    placed.push(volume?.isAway ? elsewhere(blob) : placeBlob(placing, blob))
  }
  const ended = durable ? syncPlaced(placing, blobs, placed) : placed
  // Some of the names may have been given on whatever lies there now.
  return volume?.isAway ? blobs.map((blob, position) => elsewhere(blob, ended[position])) : ended
}

function elsewhere(blob: ReceivedBlob, ended?: Placed): Placed {
  discardBlobs([blob.temporaryPath])
  const named = ended?.outcome === 'placed' || (ended?.outcome === 'failed' && ended.named)
  return { outcome: 'failed', code: 'STORE_NOT_MOUNTED', message: 'The volume of the store has gone meanwhile', named }
}

/** A blob whose name may not outlast a power cut has failed, whole as it is. */
function syncPlaced({ folders }: Placing, blobs: readonly ReceivedBlob[], placed: readonly Placed[]): Placed[] {
  const failures = new Map<string, DiskFailure>()
  for (const folder of folders) {
    try {
      syncFolder(folder)
    } catch (reason) {
      failures.set(folder, failureOf(reason, folder))
    }
  }
  return placed.map((ended, position) => {
    const folder = ended.outcome === 'placed' && blobs[position]?.folders.find((one) => failures.has(one))
    const failure = folder ? failures.get(folder) : undefined
    return failure ? failedPlacing(failure, true) : ended
  })
}

function failedPlacing({ code, message }: DiskFailure, named: boolean): Placed {
  return {
    outcome: 'failed',
    named,
    code: code === 'FILE_MISSING' ? 'STORAGE_ERROR' : code,
    message: `Error moving the file into place: ${message}`,
  }
}

interface Placing extends Pick<PlaceTask, 'root' | 'names' | 'algorithm'> {
  /** Whose entries have changed. */
  readonly folders: Set<string>
  readonly hashing: Hashing
}

function placeBlob(placing: Placing, blob: ReceivedBlob): Placed {
  const { root, names, folders } = placing
  let named = false
  try {
    const path = confinedPath(root, blob.key)
    if (names === 'free') {
      if (!giveFreeName(blob.temporaryPath, path)) return { outcome: 'occupied' }
    } else {
      if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
        removeAll(blob)
        return { outcome: 'failed', code: 'NOT_A_FILE', message: DESTINATION_IS_FOLDER, named }
      }
      renameSync(blob.temporaryPath, path)
    }
    named = true
    // After a rename there is none, unless both were names of one file already: an earlier process came no further.
    removeQuietly(blob.temporaryPath)
    if (blob.notePath !== null) removeQuietly(blob.notePath)
    for (const folder of blob.folders) folders.add(folder)
    return { outcome: 'placed', digest: storedDigest(path, blob, placing) }
  } catch (reason) {
    discardBlobs([blob.temporaryPath, ...(blob.notePath === null ? [] : [blob.notePath])])
    return failedPlacing(failureOf(reason, blob.key), named)
  }
}

/** A rename would replace whatever has the name; a link fails where there is anything, and on file systems without links. */
function giveFreeName(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (reason) {
    const { code = '' } = reason as NodeJS.ErrnoException
    if (['EEXIST', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) return false
    throw reason
  }
}

/**
 * What lies there now: a small file is in the page cache and is read at once, a larger one was hashed as it was written and is
 * the same file still. Null where others have to read it, which have the time.
 */
function storedDigest(path: string, blob: ReceivedBlob, { algorithm, hashing }: Placing): Digest | null {
  const { expected, bytes, stored } = blob
  if (bytes > SMALL_BLOB_BYTES) return stored && versionOf(path) === stored.version ? stored.digest : null
  const by = expected?.algorithm ?? algorithm
  try {
    const { body } = readSmall(path, SMALL_BLOB_BYTES)
    return body && { algorithm: by, hex: hashing.digestHexOf(by, body) }
  } catch {
    // It has its name, and waits to be verified like any other: what is wrong with it is told then.
    return null
  }
}

function versionOf(path: string): string | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stat ? fileVersion(stat) : null
}

function removeAll({ temporaryPath, notePath }: ReceivedBlob): void {
  removeQuietly(temporaryPath)
  if (notePath !== null) removeQuietly(notePath)
}

/** Runs in a thread: removes what has arrived and is not wanted any more. */
export function discardBlobs(paths: readonly string[]): void {
  for (const path of paths) {
    try {
      removeQuietly(path)
    } catch {
      // The disk is read-only or worse, as is told of the blobs themselves. What stays is swept later, as after a crash.
    }
  }
}

/** Removes a file that need not be there. */
export function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') throw reason
  }
}

/** Runs in a thread: makes durable what a file holds by now. */
export function syncFile(path: string): void {
  const file = openSync(path, READ_UNFOLLOWED)
  try {
    fdatasyncSync(file)
  } finally {
    closeSync(file)
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
    return openSync(folder, READ_FOLDER)
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw reason
    return openNearest(dirname(folder))
  }
}
