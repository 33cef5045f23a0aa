import type { Reporter, SerializedError, TestModule } from 'vitest/node'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/**
 * Prints `N passed, N failed` as the run's very last line, at the end of the process: what tears the databases down may
 * still have something to say before. The line and the exit code always agree.
 */
export class ClosingLineReporter implements Reporter {
  /** Stays as it is where the run ends before any test could: that is a failure too. */
  #counts: Counts = { passed: 0, failed: 1, skipped: 0 }

  onInit(): void {
    process.once('exit', (code) => {
      const counts = { ...this.#counts }
      if (code !== 0 && counts.failed === 0) counts.failed = 1
      if (code === 0 && counts.failed > 0) process.exitCode = 1
      process.stdout.write(`${closingLine(counts)}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts: Counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      counts.failed += module.errors().length
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        // Still pending when all is over: its worker died.
        counts[state === 'pending' ? 'failed' : state] += 1
      }
    }
    if (counts.passed + counts.failed === 0) counts.failed = 1
    this.#counts = counts
  }
}

/** This form and no other: what was skipped is in the summary above. */
function closingLine({ passed, failed }: Counts): string {
  return `${passed} passed, ${failed} failed`
}
