import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
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
  standBackAsSession()
}

/**
 * Linux may share the processors out among sessions before it does so among their threads (sched(7), "The autogroup feature"), and
 * a service is a session of its own: then the nice value of a thread says nothing to the host's processes. Of a session that others
 * belong to as well, such as that of a terminal, nothing is changed.
 */
function standBackAsSession(): void {
  const session = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')[3]
  if (Number(session) !== process.pid) return
  try {
    writeFileSync('/proc/self/autogroup', String(BACKGROUND_NICE))
  } catch {
    // There is no such thing here, or it may not be written: the threads stand back all the same.
  }
}
