import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SITE_ARGUMENTS } from '../../fixtures/widget-app/site-arguments.ts'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { until } from '../support/until.ts'
import type { History } from './history.ts'

export const GEO_COMMAND = fileURLToPath(new URL('../../lib/cli/geo.ts', import.meta.url))
export const WIDGET_APP_CONFIG = fileURLToPath(new URL('../../fixtures/widget-app/geo.config.ts', import.meta.url))
const PROGRAMS = {
  server: [fileURLToPath(new URL('../../fixtures/widget-app/server.ts', import.meta.url))],
  worker: ['work', '--config', WIDGET_APP_CONFIG],
}
/** Each process has a wall clock that can be set. */
const PRELOADED = ['--import', new URL('./wall-clock.ts', import.meta.url).href]
// A machine under load, and a database that is down, take long.
const START_TIMEOUT_MS = 180_000
const STOP_TIMEOUT_MS = 60_000
const RESTART_PAUSE_MS = 200

export interface MemberOptions {
  readonly name: string
  readonly kind: keyof typeof PROGRAMS
  /** What a worker runs instead of the command `geo` of these sources. */
  readonly command?: string
  readonly launcher: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly outputPath: string
  readonly history: History
}

/**
 * One process of a site, begun again by itself whenever it has gone, as by systemd. An end that nobody asked for is remembered.
 * What it writes goes straight into a file, which is there whatever becomes of it.
 */
export class Member {
  readonly name: string
  readonly outputPath: string
  readonly #options: MemberOptions
  #child: ChildProcess | null = null
  #wanted = false
  #running: Promise<void> = Promise.resolve()
  /** What it was told to end with, so that its end surprises nobody. */
  #told: NodeJS.Signals | null = null
  /** Ends that nobody asked for. */
  readonly ends: string[] = []
  /** When it was killed, as epoch in milliseconds. */
  readonly kills: number[] = []
  starts = 0
  #ready = false
  #outputFrom = 0

  constructor(options: MemberOptions) {
    this.#options = options
    this.name = options.name
    this.outputPath = options.outputPath
  }

  /** Begins it, and again whenever it has gone, until `stop`. Resolves when it works. */
  async start(): Promise<void> {
    this.#wanted = true
    this.#running = this.#keepRunning()
    await until(
      () => this.works,
      START_TIMEOUT_MS,
      () => `${this.name} to work: ${this.output.slice(-2000)}`,
    )
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  get works(): boolean {
    return this.#child !== null && this.starts > 0 && this.#worked
  }

  /** Whether the process of the last start has ever worked, also when it has ended since. */
  get #worked(): boolean {
    return this.#options.kind === 'server' ? this.#ready : this.output.slice(this.#outputFrom).includes('works for')
  }

  get output(): string {
    return readFileSync(this.outputPath, 'utf8')
  }

  /** As the kernel would when memory runs out. */
  kill(): void {
    this.kills.push(Date.now())
    this.#tell('SIGKILL')
  }

  /** In good order, and not again. */
  async stop(): Promise<void> {
    this.#wanted = false
    this.#tell('SIGTERM')
    const late = setTimeout(() => {
      this.ends.push(`did not end within ${STOP_TIMEOUT_MS / 1000} s of SIGTERM`)
      this.#child?.kill('SIGKILL')
    }, STOP_TIMEOUT_MS)
    await this.#running
    clearTimeout(late)
  }

  #tell(signal: NodeJS.Signals): void {
    this.#told = signal
    this.#child?.kill(signal)
  }

  async #keepRunning(): Promise<void> {
    while (this.#wanted) {
      await this.#runOnce()
      await new Promise((resolve) => setTimeout(resolve, RESTART_PAUSE_MS))
    }
  }

  async #runOnce(): Promise<void> {
    const { kind, command = GEO_COMMAND, launcher, environment, history } = this.#options
    const programs = kind === 'worker' ? [command, ...PROGRAMS.worker] : PROGRAMS.server
    const [program = '', ...args] = [...launcher, process.execPath, ...PRELOADED, ...SITE_ARGUMENTS, ...programs]
    const output = openSync(this.outputPath, 'a')
    // One that was killed may have left half a line.
    writeSync(output, '\n')
    this.#outputFrom = this.output.length
    this.#told = null
    this.#ready = false
    const child = spawn(program, args, {
      env: { ...process.env, ...environment },
      // Ctrl-C on the terminal is for whoever runs all this, who ends the others in order.
      detached: true,
      stdio: ['ignore', output, output, ...(kind === 'server' ? (['ipc'] as const) : [])],
    })
    closeSync(output)
    const callOff = afterDeath('kill -KILL "$1"', String(child.pid))
    this.#child = child
    this.starts += 1
    child.once('message', () => {
      this.#ready = true
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    callOff()
    this.#child = null
    const what = `ended with ${signal ?? code}`
    history.note({ kind: 'process', process: this.name, what })
    // One that is told before it listens ends by the signal itself.
    if (this.#told === 'SIGTERM' && (code === 0 || !this.#worked)) return
    if (this.#told === 'SIGKILL') return
    this.ends.push(what)
  }
}
