import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that answers every request as the spec says. */
export interface StagedServer {
  readonly url: string
  answer(listener: RequestListener): void
  /** Ends also the connections that are kept alive or in the middle of an answer. */
  close(): Promise<void>
}

export async function stageServer(): Promise<StagedServer> {
  let current: RequestListener = (_request, response) => void response.writeHead(404).end()
  const server = createServer((request, response) => current(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    answer: (listener) => {
      current = listener
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
