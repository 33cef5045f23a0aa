import { spawn } from 'node:child_process'

/**
 * Runs a shell script as soon as this process is gone, however it went: a normal end, process.exit, Ctrl-C or SIGKILL.
 * The script waits for the end of a pipe that only this process holds open. Returns what calls it off.
 */
export function afterDeath(script: string, ...args: string[]): () => void {
  const guard = spawn('sh', ['-c', `read -r _; ${script}`, 'sh', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.on('error', (error) => process.emitWarning(`No guard for "${script}": ${error.message}`))
  // Neither may keep this process running: its end is what they wait for.
  guard.unref()
  if ('unref' in guard.stdin && typeof guard.stdin.unref === 'function') guard.stdin.unref()
  return () => {
    guard.kill('SIGKILL')
    guard.stdin.destroy()
  }
}
