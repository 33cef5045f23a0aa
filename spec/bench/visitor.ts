import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { fileURLToPath } from 'node:url'

/**
 * Asks for a page so many times a second, whether or not earlier answers have come, from a process of its own: what it waits for
 * is the server, not this measurement.
 */
export interface Visitor {
  /** How long each answer took that was asked for since the last time, in ms. */
  take(): Promise<number[]>
  stop(): void
}

export async function visit(url: string, perS: number): Promise<Visitor> {
  const child = fork(fileURLToPath(import.meta.url), [url, String(perS)])
  await once(child, 'message')
  return {
    async take() {
      const answer = once(child, 'message')
      child.send('take')
      const [times] = (await answer) as [number[]]
      return times
    },
    stop: () => void child.kill(),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url = '', perS = ''] = process.argv.slice(2)
  const agent = new Agent({ keepAlive: true, maxSockets: 50 })
  let times: number[] = []
  const everyMs = 1000 / Number(perS)
  const beganMs = performance.now()
  let asked = 0
  const ask = (dueMs: number): void => {
    const request = get(url, { agent }, (response) => {
      response.resume()
      response.on('end', () => times.push(performance.now() - dueMs))
    })
    request.on('error', (reason) => {
      // The server has just closed a connection that was idle: any client asks again.
      if (!request.reusedSocket) throw reason
      ask(dueMs)
    })
  }
  setInterval(() => {
    // Late timers are made up for: a visitor does not wait for the machine either.
    for (; beganMs + asked * everyMs <= performance.now(); asked += 1) ask(performance.now())
  }, 1)
  process.on('message', () => {
    process.send?.(times)
    times = []
  })
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}
