import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, inject, it } from 'vitest'

const run = promisify(execFile)
const SPEC = fileURLToPath(new URL('./widget.node-test.ts', import.meta.url))

// vitest and jest do so in spec/package, from the packed package.
it("the suites run under node:test, as a host's own spec with nothing but its declaration, its knexfile and its insert", async () => {
  // With NODE_TEST_CONTEXT it takes itself for a part of another run of node:test, and prints nothing.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const env = { ...inherited, GEO_TEST_DATABASE_URL: inject('databaseServers').primaryUrl }
  const { stdout } = await run(process.execPath, ['--test', '--test-reporter=tap', SPEC], { env })
  const count = (name: string) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(stdout)?.[1])
  expect(count('fail')).toBe(0)
  expect(count('pass')).toBeGreaterThan(15)
})
