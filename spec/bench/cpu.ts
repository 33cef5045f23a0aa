import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** What all cores of this machine have worked so far, in seconds of one core. */
export function cpuSecondsOfMachine(): number {
  return cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) / 1000, 0)
}

/** The most memory that a process has held since it was asked for the last time, and forgets it; in MiB. Linux only. */
export function mostResidentMib(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}
