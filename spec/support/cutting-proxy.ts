import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/** Passes bytes on to a server, and breaks the connection each time that so many in all have gone to the client. */
export interface CuttingProxy {
  readonly url: string
  /** All bytes that were sent towards the client, heads and repetitions included. */
  readonly sent: number
  readonly cuts: number
  close(): Promise<void>
}

/** `reset`: the connection is broken with RST, and what the client's kernel does not have yet is lost; else with FIN. */
export async function startCuttingProxy(
  targetPort: number,
  cutAt: readonly number[],
  how: 'end' | 'reset' = 'end',
): Promise<CuttingProxy> {
  const places = [...cutAt].sort((a, b) => a - b)
  const open = new Set<Socket>()
  let sent = 0
  let cuts = 0
  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1')
    const sockets = [client, upstream]
    for (const socket of sockets) {
      open.add(socket)
      socket.on('close', () => {
        open.delete(socket)
        for (const other of sockets) other.destroy()
      })
      socket.on('error', () => socket.destroy())
    }
    client.pipe(upstream)
    client.on('drain', () => upstream.resume())
    upstream.on('data', (chunk: Buffer) => {
      const room = (places[cuts] ?? Number.POSITIVE_INFINITY) - sent
      const passed = chunk.subarray(0, Math.max(0, room))
      sent += passed.length
      if (!client.write(passed)) upstream.pause()
      if (passed.length === chunk.length) return
      cuts += 1
      upstream.destroy()
      if (how === 'reset') client.resetAndDestroy()
      else client.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get sent() {
      return sent
    },
    get cuts() {
      return cuts
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
