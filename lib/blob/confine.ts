import { lstatSync } from 'node:fs'
import { GeoError } from '../errors.ts'
import { checkKey } from './key.ts'

const IF_THERE = Object.freeze({ throwIfNoEntry: false })

/**
 * The path of a key below a root, none of whose folders below the root is a symbolic link: one planted there cannot lead outside.
 * The root itself may be one. Folders that do not exist yet are fine. Synchronous, for worker threads; the last segment itself is
 * never followed by its openers (`O_NOFOLLOW`).
 *
 * Every folder is looked at for every file, right before it is opened. An answer kept for a batch would be cheaper, but a folder
 * that is swapped for a link between two of its files would be followed. And a handle of the folder holds on to it only by way of
 * `/proc`, where opening a file takes longer than this does.
 * @throws GeoError `INVALID_KEY`, `KEY_OUTSIDE_ROOT`
 */
export function confinedPath(root: string, key: string): string {
  checkKey(key)
  const base = root.endsWith('/') ? root : `${root}/`
  for (let end = key.indexOf('/'); end !== -1; end = key.indexOf('/', end + 1)) {
    const folder = lstatSync(base + key.slice(0, end), IF_THERE)
    if (!folder) break
    if (folder.isSymbolicLink()) {
      throw new GeoError('KEY_OUTSIDE_ROOT', `The key ${JSON.stringify(key)} leads through a symbolic link`)
    }
  }
  return base + key
}
