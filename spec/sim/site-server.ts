import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Moment } from './lifeline.ts'

export type Fault =
  | { readonly kind: 'refuse' }
  | { readonly kind: 'busy'; readonly retryAfterS: number | null }
  | { readonly kind: 'cut'; readonly afterBytes: number }

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** The server of a site, whose network may fail for one request, and which notes what types were asked for. */
export class SiteServer {
  readonly #server: Server
  readonly #reach: (moment: Moment) => Promise<void>
  #handler: Handler = (_, response) => void response.writeHead(503).end()
  #fault: Fault | null = null
  readonly asked: string[] = []

  constructor(reach: (moment: Moment) => Promise<void>) {
    this.#reach = reach
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy())
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  serveBy(handler: Handler): void {
    this.#handler = handler
  }

  failOnce(fault: Fault | null): void {
    this.#fault = fault
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.asked.push(/\/retrieve\/([a-z_]+)/.exec(request.url ?? '')?.[1] ?? '')
    const fault = this.#fault
    this.#fault = null
    if (fault?.kind === 'refuse') return void request.socket.destroy()
    if (fault?.kind === 'busy') {
      const headers = fault.retryAfterS === null ? {} : { 'retry-after': String(fault.retryAfterS) }
      return void response.writeHead(503, headers).end()
    }
    if (fault?.kind === 'cut') cutAfter(response, fault.afterBytes)
    else endLate(response, () => this.#reach('served'))
    await this.#reach('serve')
    this.#handler(request, response)
  }
}

function cutAfter(response: ServerResponse, bytes: number): void {
  let left = bytes
  const write = response.write.bind(response) as (chunk: Uint8Array) => boolean
  const cut = (chunk: Uint8Array): boolean => {
    if (chunk.length < left) {
      left -= chunk.length
      return write(chunk)
    }
    write(chunk.subarray(0, left))
    response.socket?.destroySoon()
    return true
  }
  Object.assign(response, { write: cut })
}

/** The last bytes have been read from the disk, and the other side waits for the end. */
function endLate(response: ServerResponse, before: () => Promise<void>): void {
  const end = response.end.bind(response) as (...given: unknown[]) => ServerResponse
  const late = (...given: unknown[]): ServerResponse => {
    before().then(
      () => end(...given),
      (reason: unknown) => response.destroy(reason as Error),
    )
    return response
  }
  Object.assign(response, { end: late })
}
