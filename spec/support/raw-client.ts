import { connect, type Socket } from 'node:net'
import { until } from './until.ts'

/** A client that speaks HTTP by the byte, as slowly as the spec says. */
export interface RawClient {
  readonly socket: Socket
  /** What has come, at most the first 64 KiB of it, as Latin-1. */
  readonly received: string
  /** Whether the other side has ended the connection. */
  readonly closed: boolean
  /** Resolves once the other side has ended it. */
  untilClosed(timeoutMs?: number): Promise<void>
}

const MOST_KEPT = 64 * 1024

/** `reads`: whether it takes what comes. */
export async function rawClient(url: string, head: string, { reads = true } = {}): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  const chunks: Buffer[] = []
  let closed = false
  socket.on('close', () => {
    closed = true
  })
  // A connection that is cut while something is written on it is reset.
  socket.on('error', () => undefined)
  let kept = 0
  const keep = (chunk: Buffer) => {
    if (kept < MOST_KEPT) chunks.push(chunk)
    kept += chunk.length
  }
  if (reads) socket.on('data', keep)
  else socket.pause()
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.write(head)
  return {
    socket,
    get received() {
      return Buffer.concat(chunks).toString('latin1')
    },
    get closed() {
      return closed
    },
    untilClosed: (timeoutMs) => until(() => closed, timeoutMs, `${head.split('\r\n')[0]} to be cut`),
  }
}

export function requestHead(method: string, path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ host: 'site.test', ...headers }).map(([name, value]) => `${name}: ${value}`)
  return [`${method} ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n')
}
