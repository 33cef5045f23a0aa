import { readdir, readFile } from 'node:fs/promises'

/**
 * The nice value of each thread of a process, its main thread first: it has the process's own number (proc_pid_stat(5)), which is
 * not the lowest once the numbers have begun anew. Linux only.
 */
export async function niceValues(pid: number): Promise<number[]> {
  const others = (await readdir(`/proc/${pid}/task`)).map(Number).filter((thread) => thread !== pid)
  const stats = await Promise.all(
    [pid, ...others].map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8')),
  )
  return stats.map((stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]))
}
