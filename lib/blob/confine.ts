import { realpathSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { GeoError } from '../errors.ts'
import { checkKey } from './key.ts'

/**
 * The path of a key below a root, after the folders on the way have been resolved: a symbolic link planted below the root
 * cannot lead outside. Folders that do not exist yet are fine. Synchronous, for worker threads; the last segment itself is
 * never followed by its openers (`O_NOFOLLOW`).
 * @throws GeoError `INVALID_KEY`, `KEY_OUTSIDE_ROOT`
 */
export function confinedPath(root: string, key: string): string {
  const path = join(root, checkKey(key))
  let folder = dirname(path)
  let real = realpathIfThere(folder)
  while (real === null && folder.length > root.length) {
    folder = dirname(folder)
    real = realpathIfThere(folder)
  }
  // Most roots are no symbolic link themselves, and this is asked for every file.
  if (real !== null && real !== folder && real !== join(realpathSync.native(root), relative(root, folder))) {
    throw new GeoError('KEY_OUTSIDE_ROOT', `The key ${JSON.stringify(key)} leads through a symbolic link`)
  }
  return path
}

function realpathIfThere(path: string): string | null {
  try {
    return realpathSync.native(path)
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw reason
  }
}
