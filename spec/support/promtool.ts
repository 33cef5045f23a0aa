import { spawn, spawnSync } from 'node:child_process'

/** `promtool` comes with the Debian package `prometheus`; CI installs it. */
export const hasPromtool = spawnSync('promtool', ['--version']).status === 0

if (!hasPromtool)
  console.error(
    'SKIPPED: promtool is not installed, so metrics and alert rules are NOT checked. Install it: apt-get install prometheus',
  )

/** Runs promtool and returns what it says, on whichever stream. */
export async function promtool(args: readonly string[], input = ''): Promise<{ code: number | null; output: string }> {
  const child = spawn('promtool', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer) => {
    output += chunk
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, output }
}
