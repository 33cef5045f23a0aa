import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks a route of the host again and again, in a process of its own: whoever makes the load is too busy to tell how long an answer
 * took. Told anything, it answers with what it has measured since the last time, in milliseconds.
 */
const EVERY_MS = 10
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
let taken: number[] = []

function ask(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => response.resume().once('end', resolve).once('error', reject)).once(
      'error',
      reject,
    )
  })
}

process.on('message', () => {
  process.send?.(taken)
  taken = []
})
process.on('disconnect', () => process.exit(0))

for (;;) {
  const beganMs = performance.now()
  await ask(process.argv[2] ?? '')
  taken.push(performance.now() - beganMs)
  await sleep(EVERY_MS)
}
