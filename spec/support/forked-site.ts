import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { SITE_ARGUMENTS } from '../../fixtures/widget-app/site-arguments.ts'
import type { TurnMeasure } from '../../fixtures/widget-app/turn-probe.ts'

const SERVER = fileURLToPath(new URL('../../fixtures/widget-app/server.ts', import.meta.url))
const LATE_MS = 15_000

export interface ForkedSiteOptions {
  readonly name: string
  readonly url: string
  readonly blobsDir: string
  readonly environment: Readonly<Record<string, string>>
  /** What its process runs. Default: widget-app. */
  readonly program?: string
}

/** One site in a process of its own, which can be stopped, killed and started again at the same address. */
export class ForkedSite {
  readonly name: string
  readonly url: string
  readonly blobsDir: string
  /** What its process finds in its environment. */
  readonly environment: Readonly<Record<string, string>>
  readonly #program: string
  #child: ChildProcess | null = null
  #output = ''

  constructor({ name, url, blobsDir, environment, program = SERVER }: ForkedSiteOptions) {
    this.name = name
    this.url = url
    this.blobsDir = blobsDir
    this.environment = environment
    this.#program = program
  }

  /** Resolves when it serves. `changes`: of its environment, this time. */
  async start(changes: Readonly<Record<string, string>> = {}): Promise<void> {
    const child = fork(this.#program, {
      env: { ...process.env, ...this.environment, ...changes },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: SITE_ARGUMENTS,
    })
    this.#child = child
    for (const output of [child.stdout, child.stderr]) {
      output?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString()
      })
    }
    const early = new AbortController()
    const ready = once(child, 'message', { signal: early.signal })
    const ended = once(child, 'exit', { signal: early.signal })
    const first = await Promise.race([ready.then(() => 'ready'), ended.then(() => 'ended')])
    // The loser of the race is called off, and its rejection is of no interest.
    await Promise.allSettled([early.abort(), ready, ended])
    if (first === 'ended') throw new Error(`${this.name} ended before it served:\n${this.#output}`)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }

  /** All that it has written so far. */
  get output(): string {
    return this.#output
  }

  /** How long its main thread has been busy at a stretch, and late, since it was asked for the last time; see turn-probe.ts. */
  async takeTurns(): Promise<TurnMeasure> {
    const child = this.#child
    if (!child) throw new Error(`${this.name} is not running`)
    const answer = once(child, 'message')
    child.send({ type: 'measure' })
    const [measured] = await answer
    child.send({ type: 'reset' })
    return measured as TurnMeasure
  }

  /** In order, as an operator would. Resolves with the exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM')
  }

  /** As the kernel would when memory runs out. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child
    if (!child || !this.isRunning) return child?.exitCode ?? null
    const ended = once(child, 'exit')
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), LATE_MS)
    await ended
    clearTimeout(late)
    return child.exitCode
  }
}
