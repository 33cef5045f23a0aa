import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ask, endNow } from './child.ts'

const PROGRAM = fileURLToPath(new URL('./ping-process.ts', import.meta.url))

const MORE_MS = 200
/** What the answers may take that are still wanted then. */
const LONGEST_MORE_MS = 120_000

/** Measures a route of the host, all the time. */
export class Ping {
  readonly #child: ChildProcess

  constructor(url: string) {
    this.#child = spawn(process.execPath, [PROGRAM, url], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    })
  }

  /** The 99th percentile of all answers in the next so many milliseconds, and longer until there are so many. */
  async p99(forMs: number, leastAnswers: number): Promise<number> {
    const deadline = performance.now() + forMs + LONGEST_MORE_MS
    await this.#take()
    await sleep(forMs)
    const taken = await this.#take()
    while (taken.length < leastAnswers) {
      if (performance.now() > deadline)
        throw new Error(`The host answered ${taken.length} times, and not ${leastAnswers}`)
      await sleep(MORE_MS)
      taken.push(...(await this.#take()))
    }
    return taken.toSorted((one, other) => one - other)[Math.floor(taken.length * 0.99)] ?? Number.NaN
  }

  close(): Promise<void> {
    return endNow(this.#child)
  }

  #take(): Promise<number[]> {
    return ask(this.#child, 'take') as Promise<number[]>
  }
}
