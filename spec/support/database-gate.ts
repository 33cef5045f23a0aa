import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'

/** A way to a database that can be shut: then nothing listens there, as where the server is down. */
export interface DatabaseGate {
  readonly url: string
  open(): Promise<void>
  /** Nothing listens any more, and every connection breaks. */
  shut(): Promise<void>
  /** Connections stay and new ones are accepted, but nothing comes through: as where the server hangs. */
  freeze(): void
}

/** Shut at first. */
export async function gateTo(databaseUrl: string): Promise<DatabaseGate> {
  const target = new URL(databaseUrl)
  const [port] = await findPorts(null)
  const sockets = new Set<Socket>()
  let server: Server | null = null
  let frozen = false

  function forward(socket: Socket): void {
    const onward = connect(Number(target.port), target.hostname)
    for (const end of [socket, onward]) {
      sockets.add(end)
      end.once('close', () => sockets.delete(end))
      end.on('error', () => end.destroy())
      if (frozen) end.pause()
    }
    if (frozen) return
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      pipeline(from, to).catch(() => to.destroy())
    }
  }

  const url = new URL(databaseUrl)
  url.hostname = HOST
  url.port = String(port)
  return {
    url: url.href,
    async open() {
      frozen = false
      const listening = createServer(forward)
      server = listening
      await new Promise<void>((resolve) => listening.listen(port, HOST, resolve))
      if ((listening.address() as AddressInfo).port !== port) throw new Error(`Port ${port} was taken meanwhile`)
    },
    async shut() {
      const shutting = server
      server = null
      const closed = new Promise<void>((resolve) => (shutting ? shutting.close(() => resolve()) : resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
    freeze() {
      frozen = true
      for (const socket of sockets) {
        socket.unpipe()
        socket.pause()
      }
    },
  }
}
