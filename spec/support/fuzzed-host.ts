import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import type { Assembly } from '../../lib/assembly.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'

/** An app of a host with all that the SDK has for one, as the README shows it, and routes of its own behind `geo.readOnly`. */
export function fuzzedHost({ reading, router }: Assembly, widgets: Replicable): Express {
  const app = express()
  app.use('/passed', reading.readOnly({ forward: true }))
  app.use(reading.readOnly())
  app.get('/widgets/:id/file', reading.serve(widgets, { contentType: () => 'text/plain' }))
  app.post(['/notes', '/passed/notes'], takeNote)
  app.use(['/widgets', '/notes', '/passed'], (error: Error, _request: Request, response: Response, _: NextFunction) => {
    response.status('status' in error ? Number(error.status) : 500).json({ message: error.message })
  })
  return app.use(router)
}

function takeNote(request: Request, response: Response): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => response.status(201).json({ bytes }))
}

export async function listening(app: Express): Promise<{ app: Express; server: Server; port: number; url: string }> {
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { app, server, port, url: `http://127.0.0.1:${port}/` }
}

/** As the routers of Express 5 keep what they were given. */
interface Layer {
  readonly rawPath?: string | readonly string[]
  readonly handle?: { readonly stack?: readonly Layer[]; readonly length: number }
  readonly route?: { readonly path: string | readonly string[]; readonly methods: Readonly<Record<string, boolean>> }
}

export interface FoundRoute {
  /** `_all`: any. */
  readonly method: string
  /** As it was given, without a slash at its beginning and its end. */
  readonly path: string
}

/** All routes that an app really has, and what it has besides for all that is below a path. */
export function routesOf(app: Express): FoundRoute[] {
  return below((app as unknown as { router: { stack: readonly Layer[] } }).router.stack, '')
}

function below(stack: readonly Layer[], base: string): FoundRoute[] {
  const under = (paths: string | readonly string[]) =>
    [paths].flat().map((path) => `${base}/${path}`.replaceAll(/\/+/g, '/').replace(/^\/|\/$/g, ''))
  return stack.flatMap(({ rawPath = '/', handle, route }) => {
    if (route) {
      const methods = Object.keys(route.methods)
      return under(route.path).flatMap((path) => methods.map((method) => ({ method, path })))
    }
    if (handle?.stack) return under(rawPath).flatMap((path) => below(handle.stack ?? [], path))
    // One with four parameters is for errors.
    return (handle?.length ?? 0) < 4 ? under(rawPath).map((path) => ({ method: '_all', path })) : []
  })
}
