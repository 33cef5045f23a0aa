import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Response } from 'express'
import express, { type RequestHandler, type Router } from 'express'

/** Stages what can happen to the bytes between the sites. All of it is undone by `reset`. */
export interface WireFaults {
  /**
   * The next answer with blobs that is longer is cut after so many bytes of its body, be it one blob or, with small ones, many
   * in frames. Those after it are whole again.
   */
  cutAfter(bodyBytes: number): void
  /** How many answers were cut since the last `reset`. */
  readonly cuts: number
  /** Every connection to the primary breaks, as where its machine is gone. */
  down(): void
  /** Undoes `down`. */
  up(): void
}

/** The HTTP server of a site. */
export interface Wire extends WireFaults {
  readonly url: string
  reset(): void
  close(): Promise<void>
}

const HOST = '127.0.0.1'

/** Serves the routes of a site on a port that is free. */
export async function openWire(router: Router): Promise<Wire> {
  let cutAt: number | null = null
  let cuts = 0
  let isDown = false
  const cutting: RequestHandler = (_request, response, next) => {
    cutBody(response, (passed, more) => {
      if (cutAt === null || passed + more <= cutAt) return null
      const last = Math.max(0, cutAt - passed)
      cutAt = null
      cuts += 1
      return last
    })
    next()
  }
  const server = createServer(express().use('/api/v4/geo/retrieve', cutting).use(router))
  server.on('connection', (socket: Socket) => {
    if (isDown) socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const wire: Wire = {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts
    },
    cutAfter(bodyBytes) {
      cutAt = bodyBytes
    },
    down() {
      isDown = true
      server.closeAllConnections()
    },
    up() {
      isDown = false
    },
    reset() {
      cutAt = null
      cuts = 0
      isDown = false
    },
    close: () => closeServer(server),
  }
  return wire
}

/**
 * Asks before each piece of the body how many of its bytes may still pass, given how many have passed; null: all. Breaks the
 * connection after the others.
 */
function cutBody(response: Response, allowed: (passed: number, more: number) => number | null): void {
  let passed = 0
  let broken = false
  const write = response.write.bind(response) as (chunk: Uint8Array, ...rest: unknown[]) => boolean
  const end = response.end.bind(response) as (...args: unknown[]) => Response
  const passes = (chunk: unknown): boolean => {
    if (broken) return false
    const bytes = typeof chunk === 'string' || chunk instanceof Uint8Array ? Buffer.from(chunk) : Buffer.alloc(0)
    const last = allowed(passed, bytes.length)
    passed += bytes.length
    if (last === null) return true
    broken = true
    // What is said to have passed has left this process before the connection breaks.
    write(bytes.subarray(0, last), () => response.socket?.destroy())
    return false
  }
  response.write = ((chunk: Uint8Array, ...rest: unknown[]) =>
    passes(chunk) ? write(chunk, ...rest) : false) as Response['write']
  response.end = ((...args: unknown[]) => (passes(args[0]) ? end(...args) : response)) as Response['end']
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}
