import { readdir, readFile } from 'node:fs/promises'

/** The nice value of each thread of a process, its main thread first (proc_pid_stat(5)). Linux only. */
export async function niceValues(pid: number): Promise<number[]> {
  const threads = (await readdir(`/proc/${pid}/task`)).map(Number).sort((left, right) => left - right)
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8')))
  return stats.map((stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]))
}
