import type { Ledger } from '../ledger.ts'
import { Watcher } from '../watcher.ts'
import type { SiteName } from './stage.ts'

/**
 * Watches the final names of sites while they are secondaries: the files of a primary are its host's, which writes them piece by piece.
 * Each watcher takes up to a fifth of a core.
 */
export class Watching {
  readonly #ledger: Ledger
  readonly #watchers = new Map<SiteName, Watcher>()
  readonly #torn: string[] = []

  /** `ledger`: of all that was ever stored anywhere, also what no row names any more. */
  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  begin(name: SiteName, blobsDir: string): void {
    if (!this.#watchers.has(name)) this.#watchers.set(name, new Watcher(blobsDir, this.#ledger))
  }

  /** After a look at everything. */
  async end(name: SiteName): Promise<void> {
    const watcher = this.#watchers.get(name)
    if (!watcher) return
    this.#watchers.delete(name)
    await watcher.lookAtAll()
    await watcher.close()
    this.#torn.push(...watcher.torn)
  }

  async endAll(): Promise<void> {
    for (const name of [...this.#watchers.keys()]) await this.end(name)
  }

  /** Without another look. */
  async close(): Promise<void> {
    for (const watcher of this.#watchers.values()) await watcher.close()
    this.#watchers.clear()
  }

  /** What was found since it was asked last, a look at everything included. */
  async torn(): Promise<string[]> {
    for (const watcher of this.#watchers.values()) {
      await watcher.lookAtAll()
      this.#torn.push(...watcher.torn.splice(0))
    }
    return this.#torn.splice(0)
  }
}
