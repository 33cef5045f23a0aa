import { extname } from 'node:path'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { DiskFailure } from '../blob/disk-failure.ts'
import { GeoError } from '../errors.ts'
import type { Lease } from '../lease.ts'
import { loadOf, type PoolLoad } from '../pool-load.ts'
import type { Bandwidth } from './bandwidth.ts'
import type { ReceivedBlob, ReceiveResult, ReceiveTask } from './blob-order.ts'
import type { ThreadData } from './connections.ts'
import type { LineMessage, LineQuestion } from './line.ts'
import type { PackItem, PackResult } from './pack.ts'
import type { Placed, PlaceTask } from './place.ts'
import type { Posted, PostTask } from './post.ts'
import type { PresentTask } from './present.ts'

/** A thread waits for the network most of the time, so it has several transfers open at once. */
const TRANSFERS_PER_THREAD = 16

/** What a transfer needs of the main thread while it runs. */
export interface TransferLine {
  readonly lease: Pick<Lease, 'signal' | 'endsAt'>
  readonly bandwidth: Pick<Bandwidth, 'rate' | 'take' | 'giveBack'>
  authorization(): Promise<string>
}

type PiscinaWorker = Parameters<
  NonNullable<NonNullable<ConstructorParameters<typeof Piscina>[0]>['loadBalancer']>
>[1][number]

/** Threads that move bytes between the network and the disk. The main thread keeps rows and decisions. */
export class TransferThreads {
  readonly #pool: Piscina
  readonly #most: number
  #closed = false

  /** `ca`: certificates in PEM that are trusted beside Node's own. */
  constructor(threads: number, ca: readonly string[] = []) {
    this.#most = threads
    const workerData: ThreadData = { ca }
    this.#pool = new Piscina({
      filename: new URL(`./transfer-thread${extname(import.meta.url)}`, import.meta.url).href,
      workerData,
      minThreads: 0,
      maxThreads: threads,
      concurrentTasksPerWorker: TRANSFERS_PER_THREAD,
      loadBalancer: (_, workers) => this.#leastBusy(workers, threads),
      idleTimeout: 30_000,
      // What comes and goes are buffers outside the heap; a small nursery has them collected before there are many.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
      // Waiting on Atomics would stop the thread's own loop, and with it the timers that close idle connections in time.
      atomics: 'disabled',
    })
  }

  /**
   * The thread with the fewest transfers. Null, for another thread to be made, while each has some and there may be more of them:
   * piscina by itself would give a thread sixteen before it makes the second, and they write and sync their files in turns.
   */
  #leastBusy(workers: readonly PiscinaWorker[], most: number): PiscinaWorker | null {
    const [least] = workers.toSorted((left, right) => left.currentUsage - right.currentUsage)
    if (!least || least.currentUsage >= TRANSFERS_PER_THREAD) return null
    return least.currentUsage > 0 && this.#pool.threads.length < most ? null : least
  }

  /**
   * Fetches blobs to temporary files, and answers what the thread asks meanwhile. The signal of the lease cuts the transfer;
   * what has arrived by then is kept as far as it is of use.
   */
  async receive(
    how: 'one' | 'many',
    task: Omit<ReceiveTask, 'line' | 'authorization'>,
    main: TransferLine,
  ): Promise<ReceiveResult> {
    const authorization = await main.authorization()
    const { port1: here, port2: there } = new MessageChannel()
    const say = (message: LineMessage) => here.postMessage(message)
    const { signal, endsAt } = main.lease
    const cut = () => say({ say: 'cut' })
    if (signal.aborted) cut()
    signal.addEventListener('abort', cut, { once: true })
    const syncing = { now: false }
    here.on('message', (question: LineQuestion) => {
      if (question.ask === 'sync') {
        void this.#sync(question.path, syncing)
        return
      }
      const answering =
        question.ask === 'authorization'
          ? main.authorization().then((authorization) => say({ say: 'authorization', authorization }))
          : main.bandwidth.take(question.bytes, signal).then((bytes) => say({ say: 'bytes', bytes }))
      // Without its answer a thread waits in vain, so it is to end.
      answering.catch(cut)
    })
    try {
      const name = how === 'one' ? 'receiveOne' : 'receiveMany'
      const line = { port: there, endsAt, rate: main.bandwidth.rate }
      const result = await this.#run<ReceiveResult>(name, { ...task, authorization, line }, [there])
      main.bandwidth.giveBack(result.unspent)
      return result
    } finally {
      signal.removeEventListener('abort', cut)
      here.close()
    }
  }

  async place(task: PlaceTask): Promise<Placed[] | null> {
    return this.#run('placeBlobs', task)
  }

  /** Sizes of those blobs that lie in their places already and are what is expected; null for the others. */
  async findPresent(task: PresentTask): Promise<(number | null)[]> {
    return this.#run('findPresent', task)
  }

  /** Removes what has arrived and is not wanted any more; parts stay, for another process may be at them. */
  async discard(blobs: readonly ReceivedBlob[]): Promise<void> {
    const paths = blobs.filter((blob) => blob.notePath === null).map((blob) => blob.temporaryPath)
    if (paths.length > 0) await this.#run('discardBlobs', paths)
  }

  /** Why the store takes no files now, or null. */
  async probe(root: string): Promise<DiskFailure | null> {
    return this.#run('probeStore', root)
  }

  async pack(items: readonly PackItem[], framesBefore: number): Promise<PackResult> {
    return this.#run('packBlobs', { items, framesBefore })
  }

  /** Sends a few bytes to the primary. */
  async post(task: PostTask): Promise<Posted> {
    return this.#run('postJson', task)
  }

  /** How many transfers may be open. One more of each thread is left to what they need at their ends. */
  get transfersAtOnce(): number {
    return this.#most * (TRANSFERS_PER_THREAD - 1)
  }

  get load(): PoolLoad {
    return loadOf(this.#pool)
  }

  /** Ends the threads. What they are at, and what they are asked for later, rejects with `STOPPED`. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#pool.destroy()
  }

  /** In a thread that has little else to do, if there is another one; one at a time for each transfer. */
  async #sync(path: string, syncing: { now: boolean }): Promise<void> {
    if (syncing.now || this.#most < 2) return
    syncing.now = true
    // What fails here fails again when the transfer syncs the whole file, and is told then.
    await this.#run('syncFile', path).catch(() => undefined)
    syncing.now = false
  }

  async #run<Result>(name: string, task: unknown, transferList: MessagePort[] = []): Promise<Result> {
    try {
      return (await this.#pool.run(task, { name, transferList })) as Result
    } catch (reason) {
      if (this.#closed) throw new GeoError('STOPPED', 'This process of the site has stopped', { cause: reason })
      throw reason
    }
  }
}
