import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './support/closing-line-reporter.ts'
import { LongestFirst } from './support/longest-first.ts'

export default defineConfig({
  test: {
    include: ['spec/**/*.spec.ts'],
    exclude: ['spec/**/*.scale.spec.ts'],
    globalSetup: ['spec/support/global-setup.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    reporters: ['default', new ClosingLineReporter()],
    // Where Vite would take the build for development and Node another one, no error would be an instance of the other's class.
    alias: { graphql: fileURLToPath(import.meta.resolve('graphql')) },
    pool: 'forks',
    // A file is over when nothing of it is left (leak-check.ts); the modules may stay, for loading them anew takes a tenth of the run.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
