import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

export interface Asked {
  /** Of all answers, each once. */
  readonly statuses: readonly number[]
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Asks an address every few milliseconds, one request after another, until the work is over. */
export async function askedDuring(url: string, work: () => Promise<unknown>): Promise<Asked> {
  const thread = new Worker(new URL('./asking-thread.ts', import.meta.url), { workerData: { url } })
  const answered = once(thread, 'message')
  // What ends the thread early is told once the work is over.
  answered.catch(() => undefined)
  try {
    await work()
  } finally {
    thread.postMessage('end')
  }
  const [{ statuses, times }] = (await answered) as [{ statuses: number[]; times: number[] }]
  times.sort((left, right) => left - right)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0
  return { statuses: [...new Set(statuses)], count: times.length, p50Ms: at(0.5), p99Ms: at(0.99) }
}
