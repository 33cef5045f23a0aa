import { registerHooks } from 'node:module'

/**
 * Loaded before all else where specs run with version 16 of graphql: the packages that import `graphql` get it too. That of
 * version 17 cannot be loaded in such a process, by whatever way, so nothing is ever of both.
 */
const NAME = /^graphql(?=\/|$)/
const VERSION_17 = /\/node_modules\/graphql\//

registerHooks({
  resolve: (specifier, context, next) =>
    NAME.test(specifier)
      ? next(specifier.replace(NAME, 'graphql-16'), { ...context, parentURL: import.meta.url })
      : next(specifier, context),
  load(url, context, next) {
    if (VERSION_17.test(url)) throw new Error(`Version 17 of graphql is asked for in a run with 16: ${url}`)
    return next(url, context)
  },
})
