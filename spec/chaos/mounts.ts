import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'

const run = promisify(execFile)

/** What a run has mounted; none of it outlives the run, however that ends. */
export class Mounts {
  readonly #open = new Map<string, () => void>()

  /** Null where this machine allows mounts; else why not. */
  async impossible(): Promise<string | null> {
    if (process.platform !== 'linux') return 'no Linux'
    if (process.getuid?.() !== 0) return 'not root'
    try {
      await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'geo-chaos', '/mnt'])
      return null
    } catch (reason) {
      return reason instanceof Error ? reason.message.trim() : String(reason)
    }
  }

  /** What was at the folder until now is hidden, from whoever has no file of it open. */
  async over(folder: string, args: readonly string[]): Promise<void> {
    if (this.#open.has(folder)) throw new Error(`Something is mounted at ${folder} already`)
    const callOff = afterDeath('umount --lazy "$1"', folder)
    this.#open.set(folder, callOff)
    try {
      await run('mount', [...args, folder])
    } catch (reason) {
      this.#forget(folder)
      throw reason
    }
  }

  async remount(folder: string, option: 'ro' | 'rw'): Promise<void> {
    await run('mount', ['-o', `remount,${option}`, folder])
  }

  /** Without effect where nothing of this run is mounted. At once for those who look now; who has a file open keeps it. */
  async off(folder: string): Promise<void> {
    if (!this.#open.has(folder)) return
    await run('umount', ['--lazy', folder])
    this.#forget(folder)
  }

  async close(): Promise<void> {
    for (const folder of [...this.#open.keys()].toReversed()) await this.off(folder)
  }

  #forget(folder: string): void {
    this.#open.get(folder)?.()
    this.#open.delete(folder)
  }
}
