import { execFile } from 'node:child_process'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compiledIn } from './compiled.ts'
import type { History } from './history.ts'
import { GEO_COMMAND, Member, WIDGET_APP_CONFIG } from './member.ts'
import type { Place } from './network.ts'

/** As documented: so soon the processes of all sites know of what was changed in geo_nodes. */
export const SITES_KNOWN_WITHIN_MS = 5000

export interface SiteOptions {
  readonly name: string
  readonly folder: string
  readonly place: Place
  /** One for each process that serves. */
  readonly ports: readonly number[]
  readonly workers: number
  readonly environment: Readonly<Record<string, string>>
  readonly history: History
}

/** What a command of the operator has said. */
export interface Said {
  readonly exitCode: number
  readonly output: string
  readonly complaints: string
}

const LONGEST_OUTPUT = 64 * 1024 * 1024

/** Several real processes of one site: such as serve and work, and such as only work. */
export class Site {
  readonly name: string
  readonly blobsDir: string
  readonly members: readonly Member[]
  /** Such as were there for a while. */
  readonly former: Member[] = []
  /** When its store could not be changed any more, for its volume had gone or was read-only, as epoch in milliseconds. */
  readonly storeBroke: number[] = []
  /** Of its serving processes, as the others in its network reach them. */
  readonly urls: readonly string[]
  /** The same as this machine reaches them, whatever happens between the sites. */
  readonly nearUrls: readonly string[]

  readonly #member: (kind: 'server' | 'worker', name: string | number, command?: string) => Member
  readonly #clockFile: string
  readonly #launcher: readonly string[]
  readonly #environment: Readonly<Record<string, string>>

  constructor({ name, folder, place, ports, workers, environment, history }: SiteOptions) {
    this.name = name
    this.blobsDir = join(folder, 'sites', name, 'blobs')
    this.#launcher = place.launcher
    this.#clockFile = join(folder, `${name}.clock`)
    const own = {
      SITE_NAME: name,
      BLOBS_DIR: this.blobsDir,
      GEO_CHAOS_CLOCK_FILE: this.#clockFile,
      ...compiledIn(folder),
    }
    this.#environment = { ...environment, ...own }
    this.#member = (kind, number, command) =>
      new Member({
        name: `${name}-${kind}-${number}`,
        kind,
        ...(command !== undefined && { command }),
        launcher: place.launcher,
        outputPath: join(folder, 'output', `${name}-${kind}-${number}.log`),
        environment: {
          ...this.#environment,
          HOST: place.listen,
          PORT: String(typeof number === 'number' ? (ports[number] ?? 0) : 0),
        },
        history,
      })
    const member = this.#member
    this.members = [
      ...ports.map((_, number) => member('server', number)),
      ...Array.from({ length: workers }, (_, number) => member('worker', number)),
    ]
    const urlsAt = (address: string) => ports.map((port) => `http://${address}:${port}`)
    this.urls = urlsAt(place.address)
    this.nearUrls = urlsAt(place.fromMachine)
  }

  async start(): Promise<void> {
    await mkdir(this.blobsDir, { recursive: true })
    await Promise.all(this.members.map((member) => member.start()))
  }

  /** `geo …`, as an operator gives it on a machine of the site. */
  command(args: readonly string[], timeoutMs = 300_000): Promise<Said> {
    const geo = [process.execPath, GEO_COMMAND, ...args, '--config', WIDGET_APP_CONFIG]
    const [program = process.execPath, ...rest] = [...this.#launcher, ...geo]
    const env = { ...process.env, ...this.#environment }
    return new Promise((resolve, reject) => {
      execFile(program, rest, { env, timeout: timeoutMs, maxBuffer: LONGEST_OUTPUT }, (error, output, complaints) => {
        if (error && typeof error.code !== 'number')
          reject(new Error(`geo ${args.join(' ')} did not end: ${complaints}`, { cause: error }))
        else resolve({ exitCode: error ? Number(error.code) : 0, output, complaints })
      })
    })
  }

  /** Sets the clock on the wall of all its processes, by so much from the right time. */
  async setClock(byMs: number): Promise<void> {
    await writeFile(`${this.#clockFile}.new`, String(byMs))
    await rename(`${this.#clockFile}.new`, this.#clockFile)
  }

  /** Another process that works for the site, of another build of the command `geo`; the caller begins and ends it. */
  addWorker(name: string, command: string): Member {
    const member = this.#member('worker', name, command)
    this.former.push(member)
    return member
  }

  async stop(): Promise<void> {
    await Promise.all([...this.members, ...this.former].map((member) => member.stop()))
  }
}
