import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hashOf } from './hash-of.ts'
import type { Ledger } from './ledger.ts'

/** The SDK's own files, which are nobody's blob: on their way, or the marker of the store. */
export const OWN_PREFIX = '.geo-'
/** Of the store that a folder holds. */
export const MARKER = `${OWN_PREFIX}store.json`
const LEAST_REST_MS = 100
/** Looking must leave most of the machine to those it looks at. */
const REST_PER_LOOK = 4
/** New names are looked at in every round, all others once in so many: they should never change. */
const WHOLE_EVERY = 10

/** Looks at the final names of a site all the time, and at once at the bytes under each that is new or has changed. */
export class Watcher {
  readonly #root: string
  readonly #ledger: Ledger
  readonly #seen = new Map<string, string>()
  readonly #running: Promise<void>
  #looking: Promise<void> = Promise.resolve()
  /** The marker of the store that it looks at; null until there is one. */
  #home: string | null = null
  readonly #ended = new AbortController()
  #round = 0
  /** What was found under a final name that is no version of its record. */
  readonly torn: string[] = []
  looks = 0
  /** Why looks in between failed, such as at a disk that gave nothing just then: the next one sees what they would have seen. */
  readonly misses: string[] = []

  constructor(root: string, ledger: Ledger) {
    this.#root = root
    this.#ledger = ledger
    this.#running = this.#watch()
  }

  /** A look at everything, now. Rejects where it cannot look. */
  lookAtAll(): Promise<void> {
    return this.#look(true)
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#running
  }

  async #watch(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const beganMs = performance.now()
      await this.#look(this.#round % WHOLE_EVERY === 0).catch((reason: unknown) => {
        this.misses.push(String(reason))
      })
      this.#round += 1
      await this.#rest(Math.max(LEAST_REST_MS, REST_PER_LOOK * (performance.now() - beganMs)))
    }
  }

  async #rest(forMs: number): Promise<void> {
    await sleep(forMs, undefined, { signal: this.#ended.signal }).catch((reason: unknown) => {
      if (!this.#ended.signal.aborted) throw reason
    })
  }

  /** Whether the volume of the site is there: what lies on another one is none of its blobs. */
  async #isHome(): Promise<boolean> {
    const marker = await ifThere(() => readFile(join(this.#root, MARKER), 'utf8'))
    this.#home ??= marker
    return marker === this.#home
  }

  /** One after the other: what two saw at once would be told twice. */
  #look(whole: boolean): Promise<void> {
    const look = this.#looking.then(() => this.#lookNow(whole))
    this.#looking = look.catch(() => undefined)
    return look
  }

  async #lookNow(whole: boolean): Promise<void> {
    if (this.#ended.signal.aborted || !(await this.#isHome())) return
    for (const key of await filesBelow(this.#root)) {
      if (this.#ended.signal.aborted) return
      if (whole || !this.#seen.has(key)) await this.#lookAt(key)
    }
  }

  async #lookAt(key: string): Promise<void> {
    const path = join(this.#root, key)
    const found = await ifThere(() => stat(path, { bigint: true }))
    if (!found) return void this.#seen.delete(key)
    const state = `${found.ino}/${found.size}/${found.mtimeNs}`
    if (this.#seen.get(key) === state) return
    const bytes = await ifThere(() => hashOf(path))
    // Not before: what could not be read is to be looked at again.
    this.#seen.set(key, state)
    this.looks += 1
    const version = this.#ledger.versionOf(key)
    if (!version) return this.#complain(`${path} has a key that the host never gave`)
    if (bytes === null || bytes.sha256 === version.sha256 || this.#ledger.isDamage(path, bytes.sha256)) return
    await this.#complain(
      `${path} has ${bytes.bytes} bytes with sha256 ${bytes.sha256}; stored were ${version.bytes} with ${version.sha256}`,
    )
  }

  async #complain(message: string): Promise<void> {
    if (await this.#isHome()) this.torn.push(message)
  }
}

/** Keys of all that lies under a final name. */
export function filesBelow(root: string): Promise<string[]> {
  return below(root, (name) => !name.startsWith(OWN_PREFIX))
}

/** All other files: those of the SDK itself. */
export function ownFilesBelow(root: string): Promise<string[]> {
  return below(root, (name) => name.startsWith(OWN_PREFIX))
}

async function below(root: string, isMeant: (name: string) => boolean): Promise<string[]> {
  const entries = await ifThere(() => readdir(root, { recursive: true, withFileTypes: true }))
  return (entries ?? [])
    .filter((entry) => !entry.isDirectory() && isMeant(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
}

/** Null where the file has gone meanwhile. */
export async function ifThere<Value>(act: () => Promise<Value>): Promise<Value | null> {
  try {
    return await act()
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw reason
  }
}
