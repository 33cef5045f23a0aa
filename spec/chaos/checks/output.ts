import type { Check } from './scene.ts'

/** What a process may say besides log lines. */
const EXPECTED = [/ serves at http/, /^\s*$/, / works for /, /^works for /, /^geo: takes no new work and waits/]
/** A failure that nobody has thought of. */
const UNNAMED = new Set(['INTERNAL'])

export const output: Check = {
  name: 'output',
  promise: 'whatever goes wrong is told in a log line with a code of its own; no error is unhandled',
  async look({ processes }) {
    const found: string[] = []
    for (const { name, output } of processes) {
      for (const line of output.split('\n')) {
        const complaint = complaintOf(line)
        if (complaint !== null) found.push(`${name} ${complaint}: ${line.slice(0, 500)}`)
      }
    }
    return found
  },
}

function complaintOf(line: string): string | null {
  if (EXPECTED.some((pattern) => pattern.test(line))) return null
  if (!line.startsWith('{')) return 'wrote what is no log line'
  try {
    const { code, level } = JSON.parse(line) as { code?: unknown; level?: unknown }
    if (UNNAMED.has(String(code))) return `logged ${code}`
    return level === 'error' && code === undefined ? 'logged an error without a code' : null
  } catch {
    // A process that was killed while it wrote.
    return line.endsWith('}') ? 'wrote what is no log line' : null
  }
}
