import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

/** A proxy before the primary that knows which transfers are open, and can hold back their answers. */
export interface TransferProxy {
  readonly url: string
  /** How many transfers are open now: their request has come, their answer has not gone out whole. */
  readonly open: number
  /** The most that were open at any one time. */
  readonly mostOpen: number
  /** How often each record was asked for. */
  readonly askedFor: Map<string, number>
  /** Answers that begin from now on wait for `release`. */
  hold(): void
  release(): void
  /** Is called with the ids of every request, before it is passed on. */
  onRequest: (ids: readonly string[]) => void
  close(): Promise<void>
}

const ROUTE = '/api/v4/geo/retrieve/'

export async function proxyTransfers(targetUrl: string): Promise<TransferProxy> {
  const askedFor = new Map<string, number>()
  let open = 0
  let mostOpen = 0
  let held: PromiseWithResolvers<void> | null = null

  const server = createServer((incoming, answer) => {
    const { url = '/', method, headers } = incoming
    if (url.startsWith(ROUTE)) {
      open += 1
      mostOpen = Math.max(mostOpen, open)
      answer.once('close', () => {
        open -= 1
      })
    }
    const pass = async () => {
      const body = await buffer(incoming)
      const ids = idsOf(incoming, body)
      for (const id of ids) askedFor.set(id, (askedFor.get(id) ?? 0) + 1)
      proxy.onRequest(ids)
      await held?.promise
      const forwarded = request(new URL(url, targetUrl), { method, headers, agent: false }, (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers)
        pipeline(response, answer).catch(() => answer.destroy())
      })
      forwarded.on('error', () => answer.destroy())
      forwarded.end(body)
    }
    pass().catch(() => answer.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: TransferProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get open() {
      return open
    },
    get mostOpen() {
      return mostOpen
    },
    askedFor,
    hold: () => {
      held ??= Promise.withResolvers()
    },
    release: () => {
      held?.resolve()
      held = null
    },
    onRequest: () => undefined,
    close: () => {
      proxy.release()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
  return proxy
}

/** A request for many names them in its body, a request for one in its path; a report of a site's status names none. */
function idsOf({ method, url = '' }: IncomingMessage, body: Buffer): string[] {
  if (method === 'POST') return (JSON.parse(body.toString('utf8')) as { ids?: string[] }).ids ?? []
  return [url.slice(url.lastIndexOf('/') + 1)]
}
