import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Asks the registry whether anything is known of the packages of the lockfile, by `npm audit`. Ends with 1 where one has an advisory that is high or
 * critical. A registry that does not answer such questions, or none at all, is said, and is no failure.
 */

export interface Verdict {
  readonly outcome: 'clean' | 'vulnerable' | 'unanswered'
  readonly text: string
}

interface Report {
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string; readonly range?: string }>>
  readonly metadata?: { readonly dependencies?: { readonly total?: number } }
  readonly message?: string
}

const FAILS = ['high', 'critical']

/** What the output of `npm audit --json` means. */
export function verdictOf(output: string): Verdict {
  const report = parse(output)
  if (!report?.vulnerabilities || report.metadata?.dependencies?.total === undefined) {
    return { outcome: 'unanswered', text: `SKIPPED: the registry does not answer: ${report?.message ?? 'no JSON'}` }
  }
  const known = Object.entries(report.vulnerabilities)
  const lines = known.map(([name, { severity, range = '' }]) => `${severity}: ${name} ${range}`.trimEnd())
  const outcome = known.some(([, { severity }]) => FAILS.includes(severity)) ? 'vulnerable' : 'clean'
  const asked = `${report.metadata.dependencies.total} packages, ${known.length} with advisories`
  return { outcome, text: [asked, ...lines].join('\n') }
}

function parse(output: string): Report | null {
  try {
    return JSON.parse(output) as Report
  } catch {
    return null
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // It ends with 1 both where it found something and where it could not ask.
  execFile('npm', ['audit', '--json'], { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 }, (_failure, stdout) => {
    const { outcome, text } = verdictOf(stdout)
    console.log(text)
    if (outcome === 'vulnerable') process.exitCode = 1
  })
}
