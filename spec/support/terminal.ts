import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'

const LONGEST_MS = 60_000
const LOOK_EVERY_MS = 1000

/** A shell that goes on between what is typed, with all that runs in its background. Ends at the first command that fails. */
export class Terminal {
  /** What has been exported in it by the last lines that were typed. */
  readonly exported: Record<string, string> = {}
  readonly #shell: ChildProcess
  #output = ''
  #heard: () => void = () => undefined

  constructor(cwd: string, environment: Readonly<Record<string, string | undefined>>) {
    this.#shell = spawn('bash', ['--norc', '-eu', '-o', 'pipefail'], {
      cwd,
      env: { ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      // What it started ends with it.
      detached: true,
    })
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        this.#heard()
      })
    }
    this.#shell.on('close', () => this.#heard())
  }

  /** Types lines and resolves with what they print. @throws Error with it, where one of them fails */
  async type(lines: string): Promise<string> {
    const end = `ended ${randomUUID()}`
    this.#output = ''
    // Programs that read would read what is typed next.
    this.#shell.stdin?.write(`{ ${lines}\n} < /dev/null\necho '${end}'\nenv -0\necho '${end}'\n`)
    const deadline = performance.now() + LONGEST_MS
    while (this.#output.split(`${end}\n`).length < 3) {
      const { exitCode } = this.#shell
      if (exitCode !== null) throw new Error(`A command ended with ${exitCode}:\n${this.#output}`)
      if (performance.now() > deadline) throw new Error(`It did not end in ${LONGEST_MS} ms:\n${this.#output}`)
      await new Promise<void>((resolve) => {
        this.#heard = resolve
        setTimeout(resolve, LOOK_EVERY_MS)
      })
    }
    const [printed = '', environment = ''] = this.#output.split(`${end}\n`)
    for (const [, name, value] of environment.matchAll(/([^=\0]+)=([^\0]*)\0/g)) {
      if (name !== undefined && value !== undefined) this.exported[name] = value
    }
    return printed
  }

  async close(): Promise<void> {
    const { pid, exitCode } = this.#shell
    if (pid === undefined) return
    const closed = exitCode === null ? once(this.#shell, 'close') : Promise.resolve()
    try {
      process.kill(-pid, 'SIGTERM')
    } catch (reason) {
      // All that it started has ended before it.
      if ((reason as NodeJS.ErrnoException).code !== 'ESRCH') throw reason
    }
    await closed
  }
}
