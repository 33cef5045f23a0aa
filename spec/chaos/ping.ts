import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ask, endNow } from './child.ts'

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

  close(): Promise<void> {
    return endNow(this.#child)
  }

  #take(): Promise<number[]> {
    return ask(this.#child, 'take') as Promise<number[]>
  }
}
