import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import { workerData } from 'node:worker_threads'
import { trustedAuthorities } from '../trust.ts'

/** What every transfer thread is started with. */
export interface ThreadData {
  readonly ca: readonly string[]
}

/** Takes bytes as they come from the network; their memory is used again afterwards. It may pause the connection. */
export type DirectReader = (piece: Buffer) => void

const directReaders = new WeakMap<Socket, DirectReader>()

/**
 * All connections of a thread receive into one piece of memory. Memory of its own for each read, copied once more by the parser of
 * HTTP, is what most of a large transfer goes to otherwise: to receive 2 GiB takes 0.3 s of a processor so, and 1.4 s that way.
 */
const onread = Object.freeze({
  buffer: Buffer.allocUnsafeSlow(256 * 1024),
  callback(this: Socket, bytes: number, buffer: Uint8Array): boolean {
    const piece = (buffer as Buffer).subarray(0, bytes)
    const reader = directReaders.get(this)
    if (reader) reader(piece)
    // To the parser, which copies what it passes on.
    else this.emit('data', piece)
    return true
  },
})

/** From now on what comes on a connection goes to `reader`, past the parser of HTTP: the connection cannot be used for another request. */
export function readDirectly(socket: Socket, reader: DirectReader): void {
  directReaders.set(socket, reader)
}

const KEEP_ALIVE_MS = 30_000

interface Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

function openAgents(): Agents {
  const { ca } = (workerData as ThreadData | null) ?? { ca: [] }
  // `onread` is passed on to whatever opens the connection.
  const options = { keepAlive: true, timeout: KEEP_ALIVE_MS, onread }
  const trusted = trustedAuthorities(ca)
  return { http: new HttpAgent(options), https: new HttpsAgent({ ...options, ...(trusted && { ca: trusted }) }) }
}

let agents: Agents | null = null

/** Connections of this thread, which are kept between requests. */
export function agentFor(protocol: string): HttpAgent {
  agents ??= openAgents()
  return protocol === 'https:' ? agents.https : agents.http
}
