import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import type { Site } from './site.ts'

const run = promisify(execFile)
/** Of all that a site's process does, only files are written at an offset and synced: sockets and the log are not. */
const WRITES = 'fsync,fdatasync,pwrite64'
const READS = 'read,pread64,readv,preadv'
const ATTACHED_WITHIN_MS = 20_000

/** What is done to which calls. */
export interface Injection {
  /** As strace takes it; null: they are only looked at. */
  readonly inject: string | null
  /** Of these files what is read; not given: of all files what is written. */
  readonly readOf?: readonly string[]
}

/** Whether strace is there and may do what it does; else why not. */
export async function straceImpossible(): Promise<string | null> {
  try {
    await run('strace', ['-f', '-qq', '-e', `trace=${WRITES}`, '-e', 'inject=fsync:error=EIO', 'true'])
    return null
  } catch (reason) {
    return reason instanceof Error ? reason.message.trim().slice(0, 200) : String(reason)
  }
}

export function pidsOf({ members }: Site): number[] {
  return members.flatMap(({ pid }) => pid ?? [])
}

/** Has the disk of a process misbehave, by what the kernel answers to it. */
export class Strace {
  readonly #children: { readonly child: ChildProcess; readonly callOff: () => void }[] = []

  async attach(pids: readonly number[], { inject, readOf }: Injection): Promise<void> {
    const calls = readOf ? READS : WRITES
    for (const pid of pids) {
      const injecting = inject === null ? [] : ['-e', `inject=${calls}:${inject}`]
      const paths = readOf?.flatMap((path) => ['-P', path]) ?? []
      const args = ['-f', '-e', `trace=${calls}`, ...injecting, ...paths, '-o', '/dev/null', '-p', String(pid)]
      const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true })
      this.#children.push({ child, callOff: afterDeath('kill -TERM "$1"', String(child.pid)) })
      // It says so once it has all threads.
      await once(child.stderr, 'data', { signal: AbortSignal.timeout(ATTACHED_WITHIN_MS) })
      child.stderr.resume()
    }
  }

  /** The processes go on as ever. */
  async detach(): Promise<void> {
    for (const { child, callOff } of this.#children.splice(0)) {
      const isOver = child.exitCode !== null || child.signalCode !== null
      const ended = isOver ? null : once(child, 'exit')
      child.kill('SIGTERM')
      await ended
      callOff()
    }
  }
}
