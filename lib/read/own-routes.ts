import type { Request, Router } from 'express'

/*
 * Whether a request is for a route of the SDK's, wherever the host has mounted it. Nobody tells a router where it is mounted, so
 * the layers that Express keeps are walked down as Express itself does: alike in Express 4 and 5, and what is not as it is known
 * there counts as a route of the host's.
 */

interface Layer {
  readonly name?: string
  readonly handle?: { readonly stack?: readonly Layer[]; readonly length: number }
  readonly route?: { readonly methods: Readonly<Record<string, boolean | undefined>> }
  /** Express 4 and the routers of Express 5 before 2.3 keep here what `match` has found. */
  readonly path?: string
  match?(path: string): boolean | { readonly path: string }
}

interface AppLike {
  readonly parent?: AppLike
  readonly _router?: { readonly stack?: readonly Layer[] }
  readonly router?: { readonly stack?: readonly Layer[] }
  path(): string
}

// What lies below an app inside the app cannot be seen; there it is at least what sites say to each other.
const BETWEEN_SITES = /^\/api\/v4\/geo\//

/** `router` is the SDK's; its parts count as well where they are mounted by themselves. */
export function isOwnRoute(router: Router, request: Request): boolean {
  const parts = (router as unknown as { stack?: readonly Layer[] }).stack ?? []
  const own = new Set<unknown>([router, ...parts.filter(({ handle }) => handle?.stack).map(({ handle }) => handle)])
  const [path = '/'] = request.originalUrl.split('?', 1)
  for (let app = request.app as unknown as AppLike | undefined; app; app = app.parent) {
    const mountedAt = app.path()
    if (!path.startsWith(mountedAt)) continue
    // In Express 4 `router` is a getter that throws.
    const { stack } = app._router ?? app.router ?? {}
    if (leadsToOwn(stack ?? [], path.slice(mountedAt.length) || '/', request.method.toLowerCase(), own)) return true
  }
  return false
}

function leadsToOwn(stack: readonly Layer[], path: string, method: string, own: ReadonlySet<unknown>): boolean {
  return stack.some((layer) => {
    if (layer.route) return false
    const rest = below(layer, path)
    if (rest === null) return false
    if (own.has(layer.handle)) return hasRoute(layer.handle?.stack ?? [], rest, method)
    if (layer.name === 'mounted_app') return BETWEEN_SITES.test(rest)
    return leadsToOwn(layer.handle?.stack ?? [], rest, method, own)
  })
}

function hasRoute(stack: readonly Layer[], path: string, method: string): boolean {
  return stack.some((layer) => {
    if (layer.route) {
      const { methods } = layer.route
      return (methods[method] || methods['_all'] || false) && Boolean(layer.match?.(path))
    }
    const rest = below(layer, path)
    if (rest === null) return false
    if (layer.handle?.stack) return hasRoute(layer.handle.stack, rest, method)
    // A handler of ours for all that is below a path; one for every path is none, and one with four parameters is for errors.
    return rest !== path && (layer.handle?.length ?? 4) < 4
  })
}

/** What of the path is left below a layer; null where the path does not lead there. */
function below(layer: Layer, path: string): string | null {
  const matched = layer.match?.(path)
  if (!matched) return null
  const taken = (typeof matched === 'object' ? matched.path : layer.path) ?? ''
  const rest = path.slice(taken.length)
  if (!path.startsWith(taken) || (taken !== '' && rest !== '' && !rest.startsWith('/'))) return null
  return rest.startsWith('/') ? rest : `/${rest}`
}
