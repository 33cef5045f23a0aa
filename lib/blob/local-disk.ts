import { randomUUID } from 'node:crypto'
import { link, lstat, mkdir, open, rmdir, unlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GeoError } from '../errors.ts'
import type { BlobStat, BlobStore, StoreMarker } from './blob-store.ts'
import { confinedPath } from './confine.ts'
import { RESERVED_PREFIX } from './key.ts'
import { MARKER_NAME, readStoreMarker } from './store-marker.ts'
import { READ_FOLDER } from './unfollowed.ts'

export interface LocalDiskOptions {
  /** Folder below which the keys lie; relative paths are taken from the working directory. */
  root: string
  /** Sync files and folders to disk before a row is called synced. Default true; health says when it is off. */
  durable?: boolean
}

/** A store in a folder of a local or mounted disk. The folder itself is made by the host or at the first start. */
export function localDisk(options: LocalDiskOptions): BlobStore {
  const root = resolve(options.root)
  const markerPath = join(root, MARKER_NAME)
  const durable = options.durable ?? true

  const store: BlobStore = {
    kind: 'local-disk',
    root,
    durable,

    async stat(key: string): Promise<BlobStat | null> {
      const found = await ifThere(() => lstat(confinedPath(root, key)))
      if (found && !found.isFile()) throw new GeoError('NOT_A_FILE', `${JSON.stringify(key)} is not a regular file`)
      return found && { bytes: found.size }
    },

    async remove(key: string): Promise<boolean> {
      const path = await ifThere(async () => confinedPath(root, key))
      if (path === null) return false
      if ((await ifThere(() => lstat(path)))?.isDirectory()) {
        throw new GeoError('NOT_A_FILE', `${JSON.stringify(key)} is not a regular file`)
      }
      const removed = await ifThere(() => unlink(path).then(() => true))
      for (let folder = dirname(path); folder.length > root.length; folder = dirname(folder)) {
        if (!(await removeEmptyFolder(folder))) break
      }
      if (removed && durable) await syncNearestFolder(root, dirname(path))
      return removed ?? false
    },

    readMarker: () => readStoreMarker(root),

    async claimMarker(marker: StoreMarker): Promise<StoreMarker> {
      // Linked into place whole, so that no reader sees half a marker and only one of several writers wins.
      const draft = join(root, `${RESERVED_PREFIX}tmp-${randomUUID()}`)
      try {
        await mkdir(root, { recursive: true })
        await writeFile(draft, `${JSON.stringify(marker)}\n`, { flag: 'wx', flush: true })
        await link(draft, markerPath)
      } catch (reason) {
        if ((reason as NodeJS.ErrnoException).code !== 'EEXIST') {
          throw new GeoError('STORAGE_ERROR', `Cannot write ${markerPath}`, { cause: reason })
        }
      } finally {
        await ifThere(() => unlink(draft))
      }
      const written = await store.readMarker()
      if (!written) throw new GeoError('STORAGE_ERROR', `${markerPath} disappeared while it was written`)
      return written
    },
  }
  return Object.freeze(store)
}

async function ifThere<Result>(act: () => Promise<Result>): Promise<Result | null> {
  try {
    return await act()
  } catch (reason) {
    const code = (reason as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw reason
  }
}

async function removeEmptyFolder(folder: string): Promise<boolean> {
  try {
    await rmdir(folder)
    return true
  } catch (reason) {
    // Not empty is the usual end of the way up; gone means that another remover was faster.
    const code = (reason as NodeJS.ErrnoException).code
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false
    if (code === 'ENOENT') return true
    throw reason
  }
}

async function syncNearestFolder(root: string, folder: string): Promise<void> {
  for (let nearest = folder; nearest.length >= root.length; nearest = dirname(nearest)) {
    const handle = await ifThere(() => open(nearest, READ_FOLDER))
    if (!handle) continue
    await handle.sync().finally(() => handle.close())
    return
  }
}
