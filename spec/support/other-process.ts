import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ProcessIdentity } from '../../lib/process-identity.ts'

const SAYS_WHO_IT_IS = fileURLToPath(new URL('./says-who-it-is.ts', import.meta.url))

/** A process on this host that has said who it is, and lives until it is ended. */
export interface OtherProcess {
  readonly identity: ProcessIdentity
  /** Ends it as `kill -9` does; resolves once it is gone. */
  kill(): Promise<void>
}

export async function startOther(): Promise<OtherProcess> {
  const child = spawn(process.execPath, [SAYS_WHO_IT_IS], { stdio: ['ignore', 'pipe', 'inherit'] })
  const identity = await identityFrom(child.stdout)
  return { identity, kill: () => killed(child) }
}

/** The same, with a parent that does not ask what became of it. `kill` ends the parent, and resolves when that is gone. */
export async function startUnattended(): Promise<OtherProcess> {
  const parent = spawn('sh', ['-c', '"$0" "$1" & exec sleep 600', process.execPath, SAYS_WHO_IT_IS], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const identity = await identityFrom(parent.stdout)
  return { identity, kill: () => killed(parent) }
}

async function identityFrom(output: Readable): Promise<ProcessIdentity> {
  const [said] = await once(output, 'data')
  return JSON.parse(String(said))
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
