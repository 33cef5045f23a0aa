import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { until } from '../support/until.ts'

const START_TIMEOUT_MS = 60_000
const KILL_AFTER_MS = 30_000

export interface HostProcessOptions {
  readonly cwd: string
  readonly program: string
  readonly environment: Readonly<Record<string, string>>
  /** Without a trailing slash. */
  readonly url: string
}

/** A process of an installed host, which can be ended as its operator would and started again at the same address. */
export class HostProcess {
  readonly url: string
  readonly #options: HostProcessOptions
  #running: { readonly child: ChildProcess; readonly callOff: () => void } | null = null
  #output = ''

  constructor(options: HostProcessOptions) {
    this.#options = options
    this.url = options.url
  }

  /** All that it has written so far. */
  get output(): string {
    return this.#output
  }

  get isRunning(): boolean {
    return this.#running?.child.exitCode === null
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const { cwd, program, environment } = this.#options
    // NODE_OPTIONS and NODE_ENV are the runner's; in production Express tells strangers no stack.
    const { NODE_OPTIONS: _, ...own } = process.env
    const env = { ...own, NODE_ENV: 'production', ...environment }
    const child = spawn(process.execPath, [program], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#running = { child, callOff: afterDeath('kill -KILL "$1"', String(child.pid)) }
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString()
      })
    }
    const answers = async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}:\n${this.#output}`)
      return fetch(`${this.url}/healthz`, { headers: { connection: 'close' } }).then(
        (response) => response.ok,
        () => false,
      )
    }
    await until(answers, START_TIMEOUT_MS, () => `${program} to answer; it says:\n${this.#output}`)
  }

  /** Resolves with its exit code and how long it took to end. A signal that had to end it is no code. */
  async terminate(): Promise<{ code: number | null; ms: number }> {
    const running = this.#running
    if (!running) return { code: null, ms: 0 }
    this.#running = null
    const { child, callOff } = running
    callOff()
    if (child.exitCode !== null) return { code: child.exitCode, ms: 0 }
    const ended = once(child, 'exit')
    const startedAtMs = performance.now()
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
    await ended
    clearTimeout(late)
    return { code: child.exitCode, ms: performance.now() - startedAtMs }
  }
}
