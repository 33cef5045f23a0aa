import { readdirSync, readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { isMainThread } from 'node:worker_threads'

/**
 * How far behind others our background work stands for a processor, as `nice` counts: about a tenth of what a process with 0 gets
 * where both want all of it, and all that nobody else wants.
 */
export const BACKGROUND_NICE = 10

/**
 * The calling thread lets everybody else go first: the host's requests cannot wait, what a thread of ours does can. The main thread
 * is the host's, whatever it loads, and stays as it is. Linux alone has priorities of threads; elsewhere nothing happens.
 */
export function standBack(): void {
  if (isMainThread || process.platform !== 'linux') return
  const [, thread] = /\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self')) ?? []
  if (thread !== undefined) setPriority(Number(thread), BACKGROUND_NICE)
}

/** As standBack, for all threads that this process has; those that it makes later follow whoever makes them. */
export function standBackAltogether(): void {
  if (process.platform !== 'linux') {
    setPriority(BACKGROUND_NICE)
    return
  }
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), BACKGROUND_NICE)
    } catch (reason) {
      // It has ended meanwhile.
      if ((reason as { info?: { code?: string } }).info?.code !== 'ESRCH') throw reason
    }
  }
}
