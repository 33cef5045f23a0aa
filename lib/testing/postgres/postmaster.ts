import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ifThere, readIfThere } from '../../if-there.ts'
import type { Account } from './account.ts'
import { afterDeath } from './after-death.ts'

const START_TIMEOUT_MS = 60_000
const READY_POLL_MS = 20
const QUIT_AFTER_MS = 10_000
const KILL_AFTER_MS = 15_000
const LOG_TAIL_LINES = 20

export interface PostmasterOptions {
  binary: string
  account: Account | null
  dir: string
  logPath: string
  settings: Record<string, string>
}

/** Nothing of the caller's environment decides how a server behaves: PGDATA, PGPORT and a locale would. */
export const SERVER_ENVIRONMENT = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** One running server process over one data folder. */
export class Postmaster {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #stopping: Promise<void> | null = null

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
  }

  /** Resolves when it accepts connections. Rejects with the end of its log. */
  static async start(options: PostmasterOptions): Promise<Postmaster> {
    const logFrom = await sizeOf(options.logPath)
    const settings = Object.entries(options.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const log = openSync(options.logPath, 'a')
    // Its own process group: Ctrl-C on the terminal must reach whoever uses the database first.
    const child = spawn(options.binary, ['-D', options.dir, ...settings], {
      ...options.account,
      cwd: options.dir,
      env: SERVER_ENVIRONMENT,
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    if (child.pid === undefined) {
      const [cause] = await once(child, 'error')
      throw new Error(`${options.binary} cannot be run.`, { cause })
    }
    const postmaster = new Postmaster(child)
    const callOff = afterDeath('kill -QUIT "$1"', String(child.pid))
    child.once('exit', callOff)
    try {
      await postmaster.#ready(options.dir, child.pid)
    } catch (cause) {
      await postmaster.stop()
      const end = (await readFile(options.logPath)).subarray(logFrom).toString().trimEnd().split('\n')
      const tail = end.slice(-LOG_TAIL_LINES).join('\n')
      throw new Error(`PostgreSQL did not start in ${options.dir}. The end of ${options.logPath}:\n${tail}`, { cause })
    }
    child.unref()
    return postmaster
  }

  /** A fast shutdown first: open transactions are rolled back. Harsher where that takes too long. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    if (this.#ended) return
    const child = this.#child
    child.ref()
    const harsher = [
      setTimeout(() => child.kill('SIGQUIT'), QUIT_AFTER_MS),
      setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS),
    ]
    child.kill('SIGINT')
    await this.#exited
    for (const timer of harsher) clearTimeout(timer)
  }

  /**
   * The lock file tells when connections are accepted, and by which process. A connection would not do: where another
   * server was faster to take the port, that one would answer.
   */
  async #ready(dir: string, pid: number): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS
    while (performance.now() < deadline) {
      if (this.#ended) throw new Error(`It exited with ${this.#child.exitCode ?? this.#child.signalCode}.`)
      const lines = (await textOf(join(dir, 'postmaster.pid'))).split('\n')
      if (lines[0] === String(pid) && lines[7]?.trim() === 'ready') return
      await sleep(READY_POLL_MS)
    }
    throw new Error(`It was not ready after ${START_TIMEOUT_MS} ms.`)
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }
}

/** Empty where there is none, which may be at any moment: the server removes what one that crashed has left, and writes its own. */
async function textOf(path: string): Promise<string> {
  return (await readIfThere(path)) ?? ''
}

async function sizeOf(path: string): Promise<number> {
  return (await ifThere(stat(path)))?.size ?? 0
}
