import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'

const run = promisify(execFile)
const QUIET = ['--config', '/dev/null', '--log-level', 'ERROR']

export interface RcloneServer {
  readonly url: string
  stop(): Promise<void>
}

/** `rclone serve http` of a folder. */
export async function serveByRclone(folder: string): Promise<RcloneServer> {
  const [port] = await findPorts(null)
  const url = `http://${HOST}:${port}`
  const child = spawn('rclone', ['serve', 'http', folder, '--addr', `${HOST}:${port}`, '--read-only', ...QUIET], {
    stdio: 'inherit',
  })
  const ended = once(child, 'exit')
  for (;;) {
    if (child.exitCode !== null) throw new Error(`rclone serve ended with ${child.exitCode}`)
    const answer = await fetch(url).catch(() => null)
    await answer?.body?.cancel()
    if (answer?.ok) break
    await sleep(50)
  }
  return {
    url,
    async stop() {
      child.kill()
      await ended
    },
  }
}

/** `rclone copy --transfers 10` over HTTP, and what it wrote to the disk where that is asked for. */
export async function copyByRclone(url: string, to: string, { sync }: { sync: boolean }): Promise<void> {
  await run('rclone', ['copy', '--transfers', '10', '--http-url', url, ':http:', to, ...QUIET])
  if (sync) await run('sync', ['-f', join(to, '.')])
}
