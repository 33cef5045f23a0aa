import { extname } from 'node:path'
import { Piscina } from 'piscina'
import type { Digest } from '../blob/digest.ts'
import { type ErrorCode, GeoError } from '../errors.ts'
import { loadOf, type PoolLoad } from '../pool-load.ts'

/** A file to be hashed. */
export interface ChecksumTask {
  readonly root: string
  readonly key: string
  /** All of them in one read, so that they are of the same bytes. */
  readonly algorithms: readonly Digest['algorithm'][]
}

export type ChecksumResult =
  | { readonly ok: true; readonly digests: readonly Digest[]; readonly bytes: number }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string }

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
   * Hashes files one after another in one thread, so that a batch costs one message each way. After about 256 MiB it returns
   * what it has, of the first tasks at least one: what is known of many large files is not lost with the last of them.
   */
  async checksumSome(tasks: readonly ChecksumTask[]): Promise<ChecksumResult[]> {
    if (tasks.length === 0) return []
    try {
      return (await this.#pool.run(tasks)) as ChecksumResult[]
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
