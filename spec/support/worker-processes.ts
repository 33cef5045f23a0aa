import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ForkedSite } from './forked-site.ts'
import { until } from './until.ts'

const PROGRAM = fileURLToPath(new URL('../../lib/cli/geo.ts', import.meta.url))
const CONFIG = fileURLToPath(new URL('../../fixtures/widget-app/geo.config.ts', import.meta.url))
// A machine under load takes long to begin a process.
const START_TIMEOUT_MS = 60_000

/** One `geo work` process of a site. */
export interface WorkerProcess {
  readonly child: ChildProcess
  /** All that it has written so far. */
  said(): string
  /** Exit code and signal, once it has ended. */
  readonly ended: Promise<unknown[]>
}

/** Starts `geo work` for a site, and resolves as soon as it works. */
export async function startWorker(
  { environment }: Pick<ForkedSite, 'environment'>,
  more: readonly string[] = [],
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [PROGRAM, 'work', '--config', CONFIG, ...more], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
  }
  const ended = once(child, 'exit')
  await until(
    () => said.includes('works for') || child.exitCode !== null,
    START_TIMEOUT_MS,
    () => `a worker to begin: ${said}`,
  )
  return { child, said: () => said, ended }
}

/** Ends workers in good order: what they hold is free at once for whoever is next. */
export async function stopWorkers(workers: readonly WorkerProcess[]): Promise<void> {
  for (const { child } of workers) child.kill('SIGTERM')
  await Promise.all(workers.map(({ ended }) => ended))
}

/** Ends workers that a spec has left, however it went. */
export async function killWorkers(workers: readonly WorkerProcess[]): Promise<void> {
  for (const { child } of workers) child.kill('SIGKILL')
  await Promise.all(workers.map(({ ended }) => ended))
}
