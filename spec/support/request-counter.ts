import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'

/** A proxy between two sites that remembers what was asked for. */
export interface RequestCounter {
  readonly url: string
  /** How many requests asked for a path that begins like this. */
  count(path: string): number
  /** What was answered so far, in that order. */
  readonly answers: readonly Answered[]
  close(): Promise<void>
}

export interface Answered {
  readonly path: string
  readonly status: number
  /** With which key it was signed. */
  readonly accessKey: string | undefined
}

export async function countRequests(targetUrl: string): Promise<RequestCounter> {
  const paths: string[] = []
  const answers: Answered[] = []
  const server = createServer((incoming, answer) => {
    const path = incoming.url ?? '/'
    paths.push(path)
    const { method, headers } = incoming
    const forwarded = request(new URL(path, targetUrl), { method, headers, agent: false }, (response) => {
      const [, accessKey] = /^GL-Geo ([^:]+):/.exec(headers.authorization ?? '') ?? []
      answers.push({ path, status: response.statusCode ?? 502, accessKey })
      answer.writeHead(response.statusCode ?? 502, response.headers)
      pipeline(response, answer).catch(() => answer.destroy())
    })
    pipeline(incoming, forwarded).catch(() => answer.destroy())
    forwarded.on('error', () => answer.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    count: (path) => paths.filter((asked) => asked.startsWith(path)).length,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
