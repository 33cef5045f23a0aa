import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Asks the registry whether anything is known of the packages of the lockfile, by `npm audit`. Ends with 1 where one has an advisory, however grave,
 * that is not named here. A registry that does not answer such questions, or none at all, is said, and is no failure.
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

/** Advisories that do not concern us, by package: up to which severity, and why. */
export type Accepted = Readonly<Record<string, { readonly upTo: string; readonly reason: string }>>

const ACCEPTED: Accepted = {}
const SEVERITIES = ['info', 'low', 'moderate', 'high', 'critical']

/** What the output of `npm audit --json` means. */
export function verdictOf(output: string, accepted: Accepted = ACCEPTED): Verdict {
  const report = parse(output)
  if (!report?.vulnerabilities || report.metadata?.dependencies?.total === undefined) {
    return { outcome: 'unanswered', text: `SKIPPED: the registry does not answer: ${report?.message ?? 'no JSON'}` }
  }
  const known = Object.entries(report.vulnerabilities).map(([name, { severity, range = '' }]) => {
    const { upTo, reason } = accepted[name] ?? { upTo: '', reason: '' }
    // One of a severity that is unknown here is grave.
    const isAccepted = SEVERITIES.includes(severity) && SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(upTo)
    const line = `${severity}: ${name} ${range}`.trimEnd()
    return { isAccepted, line: isAccepted ? `${line} (accepted: ${reason})` : line }
  })
  const outcome = known.every(({ isAccepted }) => isAccepted) ? 'clean' : 'vulnerable'
  const asked = `${report.metadata.dependencies.total} packages, ${known.length} with advisories`
  return { outcome, text: [asked, ...known.map(({ line }) => line)].join('\n') }
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
