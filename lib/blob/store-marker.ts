import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { GeoError, messageOf } from '../errors.ts'
import type { StoreMarker } from './blob-store.ts'
import { READ_UNFOLLOWED } from './unfollowed.ts'

/** In the root of every store. */
export const MARKER_NAME = '.geo-store.json'

const LONGEST_MARKER_BYTES = 4096

/**
 * The marker in the root of a store, or null where there is none (or no root). Whoever may write there may have planted something in
 * its place: that is no marker, and no error shows what it holds or leads to.
 * @throws GeoError `STORE_NOT_MOUNTED` for what is no marker, `STORAGE_ERROR` where the disk does not let it be read
 */
export async function readStoreMarker(root: string): Promise<StoreMarker | null> {
  const path = join(root, MARKER_NAME)
  const text = await readRegular(path).catch((reason: unknown) => {
    const { code } = reason as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    // A link, or something that cannot be opened to be read: a socket, a device without a driver.
    if (code === 'ELOOP' || code === 'ENXIO' || code === 'ENODEV') return ''
    throw new GeoError('STORAGE_ERROR', `Cannot read ${path}: ${messageOf(reason)}`, { cause: reason })
  })
  if (text === null) return null
  const marker = parseMarker(text)
  if (!marker) throw new GeoError('STORE_NOT_MOUNTED', `${path} is not a marker of this SDK`)
  return marker
}

/** Empty for what is no regular file, and for one that is longer than any marker. */
async function readRegular(path: string): Promise<string> {
  const file = await open(path, READ_UNFOLLOWED)
  try {
    const stat = await file.stat()
    if (!stat.isFile() || stat.size > LONGEST_MARKER_BYTES) return ''
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(LONGEST_MARKER_BYTES), position: 0 })
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

function parseMarker(text: string): StoreMarker | null {
  try {
    const { site, store } = JSON.parse(text) as Partial<StoreMarker>
    return typeof site === 'string' && typeof store === 'string' ? { site, store } : null
  } catch {
    // What JSON.parse says of it quotes it, and it may be of another file.
    return null
  }
}
