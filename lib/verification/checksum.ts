import { extname } from 'node:path'
import { Piscina } from 'piscina'
import type { Digest } from '../blob/digest.ts'
import { GeoError } from '../errors.ts'
import { loadOf, type PoolLoad } from '../pool-load.ts'
import {
  type ChecksumReply,
  type ChecksumResult,
  type ChecksumRun,
  type ChecksumTask,
  groupsOf,
  noTurns,
  placeResults,
} from './checksum-run.ts'

export type { ChecksumResult, ChecksumTask } from './checksum-run.ts'

// What a thread hashes in a few milliseconds; a batch of small files is less.
const KIB_ALONE = 16 * 1024
const KIB_PER_RUN = 256 * 1024

/** Threads that hash what is stored. The main thread only sees digests. */
export class ChecksumPool {
  readonly #pool: Piscina
  #closed = false
  readonly threads: number

  constructor(threads: number) {
    this.threads = threads
    this.#pool = new Piscina({
      filename: new URL(`./checksum-thread${extname(import.meta.url)}`, import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: 30_000,
    })
  }

  /**
   * Hashes files of a batch one after another in one thread, so that it costs one message each way; where they turn out to be
   * large, in all threads. After about 256 MiB it returns what it has, of the first tasks at least one: what is known of many
   * large files is not lost with the last of them.
   */
  async checksumSome(tasks: readonly ChecksumTask[]): Promise<ChecksumResult[]> {
    if (tasks.length === 0) return []
    const groups = groupsOf(tasks)
    const turns = noTurns()
    const results: (ChecksumResult | undefined)[] = []
    const work = async (run: ChecksumRun): Promise<void> => placeResults(await this.#run(run), tasks, results)
    await work({ groups, turns, mostKiB: KIB_ALONE })
    if (results.length < tasks.length) {
      // A thread that has something else to do comes too late and finds nothing left; nobody waits for that: the first that is
      // done takes the turns of the others, which wait right behind its own.
      const run = { groups, turns, mostKiB: KIB_PER_RUN }
      await Promise.all(Array.from({ length: this.threads }, () => work(run)))
    }
    return results.filter((result) => result !== undefined)
  }

  async #run(run: ChecksumRun): Promise<ChecksumReply> {
    try {
      return (await this.#pool.run(run)) as ChecksumReply
    } catch (reason) {
      if (this.#closed) throw new GeoError('STOPPED', 'This process of the site has stopped', { cause: reason })
      throw reason
    }
  }

  /** The digest of one stored file; null where it cannot be read. */
  async digestOf(root: string, key: string, algorithm: Digest['algorithm']): Promise<Digest | null> {
    const [result] = await this.checksumSome([{ root, key, algorithms: [algorithm] }])
    return result?.ok ? (result.digests[0] ?? null) : null
  }

  get load(): PoolLoad {
    return loadOf(this.#pool)
  }

  /** Ends the threads. What they are at, and what they are asked for later, rejects with `STOPPED`. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#pool.destroy()
  }
}
