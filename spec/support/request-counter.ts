import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'

/** A proxy between two sites that remembers what was asked for. */
export interface RequestCounter {
  readonly url: string
  /** How many requests asked for a path that begins like this. */
  count(path: string): number
  close(): Promise<void>
}

export async function countRequests(targetUrl: string): Promise<RequestCounter> {
  const paths: string[] = []
  const server = createServer((incoming, answer) => {
    const path = incoming.url ?? '/'
    paths.push(path)
    const { method, headers } = incoming
    const forwarded = request(new URL(path, targetUrl), { method, headers, agent: false }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers)
      pipeline(response, answer).catch(() => answer.destroy())
    })
    pipeline(incoming, forwarded).catch(() => answer.destroy())
    forwarded.on('error', () => answer.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: (path) => paths.filter((asked) => asked.startsWith(path)).length,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
