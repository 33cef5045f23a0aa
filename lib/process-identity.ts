import { readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { ifThere } from './if-there.ts'

/** One process among all that ever ran on all machines of a site, told by what others on its host can look up. */
export interface ProcessIdentity {
  /** What has one table of processes: a machine since its last boot, and of it one container. */
  readonly host: string
  readonly pid: number
  /** Clock ticks from the boot to its start, as proc(5) has them: a number that is given anew begins later. */
  readonly started: string
}

// proc(5): the 22nd field of stat, counted from the third, which follows the name in its brackets.
const START_TIME_FIELD = 22 - 3

/** This process; null where the system does not tell (it is not Linux, or hides it), so that nobody can say that it has ended. */
export function thisProcess(): ProcessIdentity | null {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8')
    // A /proc of another container counts processes otherwise.
    if (Number.parseInt(stat, 10) !== process.pid) return null
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    // Of a copied machine, boot and container are the same as the first one's; its name hardly is.
    const host = [hostname(), boot, readlinkSync('/proc/self/ns/pid'), readlinkSync('/proc/self/ns/time')].join(' ')
    return { host, pid: process.pid, started: startTimeIn(stat) }
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).syscall === undefined) throw reason
    return null
  }
}

/**
 * Whether a process of this host has ended for certain, with all of its threads: nothing of it writes any more. One that was
 * killed and whose parent has not looked yet counts as alive, for its threads may still be in a call.
 */
export async function hasEnded({ pid, started }: Pick<ProcessIdentity, 'pid' | 'started'>): Promise<boolean> {
  if (!isThere(pid)) return true
  // Not there where it ended this moment, but also where processes of others are hidden.
  const stat = await ifThere(readFile(`/proc/${pid}/stat`, 'utf8'))
  return stat !== null && startTimeIn(stat) !== started
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (reason) {
    // It may be of a user whom this one may send nothing: then it is there.
    return (reason as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function startTimeIn(stat: string): string {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[START_TIME_FIELD] ?? ''
}
