import { enableCompileCache, flushCompileCache } from 'node:module'

/**
 * Loaded before the program of a member: what Node compiles for it is kept for those that begin after it, as a host that starts
 * processes often would have it. One that is killed keeps nothing at its end, so that it is kept before.
 */
const KEPT_AFTER_MS = 10_000
const folder = process.env['GEO_CHAOS_COMPILED']

if (folder) {
  enableCompileCache(folder)
  setTimeout(flushCompileCache, KEPT_AFTER_MS).unref()
}
