import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { SITE_ARGUMENTS } from '../fixtures/widget-app/site-arguments.ts'
import { ClosingLineReporter } from './support/closing-line-reporter.ts'

const HALF_HOUR_MS = 30 * 60_000

/** What needs minutes, gigabytes or a million rows: one file after the other, so that no two of them share the machine. */
export default defineConfig({
  test: {
    include: ['spec/**/*.scale.spec.ts'],
    globalSetup: ['spec/support/global-setup.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    reporters: ['default', new ClosingLineReporter()],
    // As in vitest.config.ts.
    alias: { graphql: fileURLToPath(import.meta.resolve('graphql')) },
    pool: 'forks',
    execArgv: SITE_ARGUMENTS,
    fileParallelism: false,
    testTimeout: HALF_HOUR_MS,
    hookTimeout: HALF_HOUR_MS,
  },
})
