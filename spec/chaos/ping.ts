import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./ping-process.ts', import.meta.url))

/** Measures a route of the host, all the time. */
export class Ping {
  readonly #child: ChildProcess

  constructor(url: string) {
    this.#child = spawn(process.execPath, [PROGRAM, url], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    })
  }

  /** The 99th percentile of all answers in the next so many milliseconds. */
  async p99(forMs: number): Promise<number> {
    await this.#take()
    await sleep(forMs)
    const taken = (await this.#take()).toSorted((one, other) => one - other)
    const at = taken[Math.min(taken.length - 1, Math.floor(taken.length * 0.99))]
    if (at === undefined) throw new Error(`The host did not answer once in ${forMs} ms`)
    return at
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  async #take(): Promise<number[]> {
    const answer = once(this.#child, 'message')
    this.#child.send('take')
    const [taken] = await answer
    return taken as number[]
  }
}
