import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'

/** A network that takes its time, between this machine and itself. In a process of its own, so that it delays nothing else. */
export interface SlowNetwork {
  readonly url: string
  stop(): void
}

/** `oneWayMs`: how long every piece of data is on its way; a question and its answer take twice as long. */
export async function slowNetwork(targetUrl: string, oneWayMs: number): Promise<SlowNetwork> {
  const { hostname, port } = new URL(targetUrl)
  const child = fork(fileURLToPath(import.meta.url), [hostname, port, String(oneWayMs)])
  const [listening] = (await once(child, 'message')) as [number]
  return { url: `http://127.0.0.1:${listening}`, stop: () => void child.kill() }
}

function passOn(from: Socket, to: Socket, delayMs: number): void {
  from.on('data', (chunk: Buffer) => void setTimeout(() => to.write(chunk), delayMs))
  from.on('end', () => void setTimeout(() => to.end(), delayMs))
  from.on('error', () => to.destroy())
  from.on('close', () => void setTimeout(() => to.destroySoon(), delayMs))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [host = '', port = '', delayMs = ''] = process.argv.slice(2)
  const server = createServer((near) => {
    const far = connect(Number(port), host)
    for (const socket of [near, far]) socket.setNoDelay(true)
    passOn(near, far, Number(delayMs))
    passOn(far, near, Number(delayMs))
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
  process.on('disconnect', () => process.exit(0))
}
