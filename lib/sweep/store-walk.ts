import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

export interface WalkTask {
  readonly root: string
  /** Files that have changed since are left out; milliseconds since 1970. */
  readonly olderThanMs: number
}

/** Takes keys that are named, or asks for the next files. One at a time. */
export interface WalkOrder {
  readonly name?: readonly string[]
}

export interface WalkAnswer {
  readonly keys: readonly string[]
  readonly ended: boolean
}

interface Waiting {
  answered(answer: WalkAnswer): void
  failed(reason: unknown): void
}

/** A walk over a store in a thread of its own, which holds the open folders between two looks. One question at a time. */
export class StoreWalk {
  readonly #worker: Worker
  #waiting: Waiting | null = null
  #over: { readonly reason: unknown } | null = null

  constructor(task: WalkTask) {
    this.#worker = new Worker(new URL(`./walk-thread${extname(import.meta.url)}`, import.meta.url), {
      workerData: task,
    })
    this.#worker.on('message', (answer: WalkAnswer) => this.#waiting?.answered(answer))
    this.#worker.on('error', (reason) => this.#end(reason))
    this.#worker.on('exit', () => this.#end(new Error('The walk over the store was ended')))
    // Last: listeners would hold the process again.
    this.#worker.unref()
  }

  /** These files are somebody's. To be said before the walk begins. */
  async name(keys: readonly string[]): Promise<void> {
    await this.#ask({ name: keys })
  }

  /** The next few old files that were not named, and whether they are the last. Rejects where the store cannot be read. */
  next(): Promise<WalkAnswer> {
    return this.#ask({})
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #ask(order: WalkOrder): Promise<WalkAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { answered: resolve, failed: reject }
      if (this.#over) reject(this.#over.reason)
      else this.#worker.postMessage(order)
    })
  }

  // The first reason is the cause; the exit that follows an error says nothing.
  #end(reason: unknown): void {
    this.#over ??= { reason }
    this.#waiting?.failed(this.#over.reason)
  }
}
