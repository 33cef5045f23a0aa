import { setTimeout as pause } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { Agent, request } from 'undici'

/** Runs in a thread of its own, whose clock nothing else holds up: asks an address again and again until it is told to end. */

const { url } = workerData as { readonly url: string }
const agent = new Agent({ connections: 1 })
const statuses: number[] = []
const times: number[] = []
let over = false
parentPort?.once('message', () => {
  over = true
})
while (!over) {
  const startedAt = performance.now()
  const { statusCode, body } = await request(url, { dispatcher: agent })
  await body.dump()
  times.push(performance.now() - startedAt)
  statuses.push(statusCode)
  await pause(5)
}
await agent.close()
parentPort?.postMessage({ statuses, times })
