import { readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'

/** One process among all that ever ran on all machines of a site, told by what others on its host can look up. */
export interface ProcessIdentity {
  /** What has one table of processes: a machine since its last boot, and of it one container. */
  readonly host: string
  readonly pid: number
  /** Clock ticks from the boot to its start, as proc(5) has them: a number that is given anew begins later. */
  readonly started: string
}

/** What proc(5) says in `stat` of a process: fields 3, 20 and 22. */
export interface ProcessStat {
  readonly state: string
  /** How many threads of it there still are. */
  readonly threads: number
  readonly started: string
}

// Fields are counted from the third, which follows the name in its brackets.
const [STATE, THREADS, STARTED] = [0, 20 - 3, 22 - 3]

/** This process; null where the system does not tell (it is not Linux, or hides it), so that nobody can say that it has ended. */
export function thisProcess(): ProcessIdentity | null {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8')
    // A /proc of another container counts processes otherwise.
    if (Number.parseInt(stat, 10) !== process.pid) return null
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    // Of a machine that was copied while it ran, all but the name is the same.
    const host = [hostname(), boot, readlinkSync('/proc/self/ns/pid'), clockOf()].join(' ')
    return { host, pid: process.pid, started: parseStat(stat).started }
  } catch {
    // Whatever the reason, nobody is told who this is, and its leases last as long as they do elsewhere.
    return null
  }
}

/** From when a start is counted may differ between containers; kernels before 5.6 have one count for all. */
function clockOf(): string {
  try {
    return readlinkSync('/proc/self/ns/time')
  } catch {
    return ''
  }
}

/**
 * Whether a process of this host has ended for certain, with all of its threads: nothing of it is in a call to the system any more.
 * False also where it cannot be said, for its processes are hidden.
 */
export async function hasEnded({ pid, started }: Pick<ProcessIdentity, 'pid' | 'started'>): Promise<boolean> {
  if (!isThere(pid)) return true
  try {
    return isOver(parseStat(await readFile(`/proc/${pid}/stat`, 'utf8')), started)
  } catch {
    // It ended this moment, which the next look tells, or may not be looked at.
    return false
  }
}

/**
 * Whether that is another process under the same number, or what is left of one until its parent asks: without threads, for one
 * that was killed may still be in a call with others.
 */
export function isOver(stat: ProcessStat, started: string): boolean {
  return stat.started !== started || (stat.state === 'Z' && stat.threads === 1)
}

export function parseStat(text: string): ProcessStat {
  // The name may be anything, brackets too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[STATE] ?? '', threads: Number(fields[THREADS]), started: fields[STARTED] ?? '' }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (reason) {
    // It may be of a user whom this one may send nothing: then it is there.
    return (reason as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
