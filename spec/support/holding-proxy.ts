import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Passes bytes on to a server; while it holds, a connection gets only its first bytes and then waits. */
export interface HoldingProxy {
  readonly url: string
  /** From now on each connection waits once so many bytes more have gone to the client. */
  hold(afterBytes: number): void
  release(): void
  close(): Promise<void>
}

export async function startHoldingProxy(targetUrl: string): Promise<HoldingProxy> {
  const { hostname, port } = new URL(targetUrl)
  const open = new Set<Socket>()
  const upstreams = new Map<Socket, { sent: number }>()
  let most = Number.POSITIVE_INFINITY
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    const counter = { sent: 0 }
    upstreams.set(upstream, counter)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        open.delete(socket)
        upstreams.delete(upstream)
        other.destroy()
      })
    }
    client.pipe(upstream)
    client.on('drain', () => counter.sent < most && upstream.resume())
    upstream.on('data', (chunk: Buffer) => {
      counter.sent += chunk.length
      if (!client.write(chunk) || counter.sent >= most) upstream.pause()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold(afterBytes) {
      most = afterBytes
      for (const counter of upstreams.values()) counter.sent = 0
    },
    release() {
      most = Number.POSITIVE_INFINITY
      for (const upstream of upstreams.keys()) upstream.resume()
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
