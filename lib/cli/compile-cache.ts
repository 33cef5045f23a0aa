import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * Keeps what Node has compiled, for the next command: most of the time of a short one goes into its own start. In the user's own
 * folder for caches, not in the one for temporary files: who may write there must not say what an operator runs. Where there is
 * none that can be written, or with NODE_DISABLE_COMPILE_CACHE=1, nothing is kept. NODE_COMPILE_CACHE names another folder.
 */
export function keepCompiled(environment: Readonly<Record<string, string | undefined>>): void {
  const folder = cacheFolder(environment)
  if (folder !== null) enableCompileCache(join(folder, 'express-geo-replication'))
}

function cacheFolder({ XDG_CACHE_HOME: caches = '' }: Readonly<Record<string, string | undefined>>): string | null {
  if (isAbsolute(caches)) return caches
  try {
    return join(homedir(), '.cache')
  } catch {
    // A user without a home, as in many containers.
    return null
  }
}
