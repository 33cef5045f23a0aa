import { extname } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { PackItem, PackResult } from './pack.ts'
import type { Placed, PlaceTask } from './place.ts'
import type { ReceiveResult, ReceiveTask } from './receive.ts'

/** A thread waits for the network most of the time, so it has several transfers open at once. */
const TRANSFERS_PER_THREAD = 16

/** Threads that move bytes between the network and the disk. The main thread keeps rows and decisions. */
export class TransferThreads {
  readonly #pool: Piscina

  constructor(threads: number) {
    this.#pool = new Piscina({
      filename: new URL(`./transfer-thread${extname(import.meta.url)}`, import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      concurrentTasksPerWorker: TRANSFERS_PER_THREAD,
      idleTimeout: 30_000,
      // Waiting on Atomics would stop the thread's own loop, and with it the timers that close idle connections in time.
      atomics: 'disabled',
    })
  }

  /** Fetches blobs to temporary files. The signal cuts the transfer; what has arrived whole by then is kept. */
  async receive(how: 'one' | 'many', task: Omit<ReceiveTask, 'cut'>, signal: AbortSignal): Promise<ReceiveResult> {
    const { port1: main, port2: cut } = new MessageChannel()
    const onAbort = () => main.postMessage('cut')
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const name = how === 'one' ? 'receiveOne' : 'receiveMany'
      return (await this.#pool.run({ ...task, cut }, { name, transferList: [cut] })) as ReceiveResult
    } finally {
      signal.removeEventListener('abort', onAbort)
      main.close()
    }
  }

  async place(task: PlaceTask): Promise<Placed[]> {
    return (await this.#pool.run(task, { name: 'placeBlobs' })) as Placed[]
  }

  async discard(paths: readonly string[]): Promise<void> {
    if (paths.length > 0) await this.#pool.run(paths, { name: 'discardBlobs' })
  }

  async pack(items: readonly PackItem[], framesBefore: number): Promise<PackResult> {
    return (await this.#pool.run({ items, framesBefore }, { name: 'packBlobs' })) as PackResult
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}
