import { flushCompileCache } from 'node:module'

/**
 * Loaded before the program of a member, in each of its threads: what Node compiles for it, in the folder that NODE_COMPILE_CACHE
 * names, is kept for those that begin after it, as a host that starts processes often would have it. One that is killed keeps
 * nothing at its end, so that it is kept before.
 */
const KEPT_AFTER_MS = 10_000

setTimeout(flushCompileCache, KEPT_AFTER_MS).unref()
