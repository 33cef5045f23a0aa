/**
 * What the suites need of a test runner. `{ describe, it, beforeEach, beforeAll, afterAll }` of vitest and of jest fit; of node:test
 * with `before` and `after` as the last two.
 */
export interface TestRunner {
  describe(title: string, body: () => void): unknown
  it(title: string, body: () => Promise<void>, timeoutMs?: number): unknown
  beforeEach(body: () => Promise<void>): unknown
  // biome-ignore lint/suspicious/noExplicitAny: milliseconds for jest and vitest; node:test, which has no time limit, calls it an object
  beforeAll(body: () => Promise<void>, timeoutMs?: any): unknown
  // biome-ignore lint/suspicious/noExplicitAny: as above
  afterAll(body: () => Promise<void>, timeoutMs?: any): unknown
}
