import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './support/closing-line-reporter.ts'

/** Flags that a real Unleash server decides, seen by real clients; it is installed by unleash-package.ts. */
export default defineConfig({
  test: {
    include: ['spec/unleash/**/*.unleash.spec.ts'],
    globalSetup: ['spec/support/global-setup.ts', 'spec/support/unleash-setup.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    reporters: ['default', new ClosingLineReporter()],
    // As in vitest.config.ts.
    alias: { graphql: fileURLToPath(import.meta.resolve('graphql')) },
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
