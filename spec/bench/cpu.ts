import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** What all cores of this machine have worked so far, in seconds of one core. */
export function cpuSecondsOfMachine(): number {
  return cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) / 1000, 0)
}

/** What a process holds in memory now, its threads included. Linux only, as all of these. */
export function residentMib(pid: number): number {
  return mibOf(pid, 'VmRSS')
}

/** The most it has held since that was forgotten. */
export function mostResidentMib(pid: number): number {
  return mibOf(pid, 'VmHWM')
}

export function forgetMostResident(pid: number): void {
  // 5: reset the peak of the resident set (proc_pid_clear_refs(5)).
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function mibOf(pid: number, name: string): number {
  return (
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  )
}
