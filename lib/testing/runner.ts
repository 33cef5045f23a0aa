/** What the suites need of a test runner. Those of vitest, jest and node:test fit. */
export interface TestRunner {
  describe(title: string, body: () => void): unknown
  it(title: string, body: () => Promise<void>): unknown
  beforeEach(body: () => Promise<void>): unknown
}
