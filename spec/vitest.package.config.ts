import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './support/closing-line-reporter.ts'

/** What npm would publish, as hosts get it: packed, installed from the registry's packages, imported, required, compiled. */
export default defineConfig({
  test: {
    include: ['spec/package/**/*.package.spec.ts'],
    globalSetup: ['spec/support/global-setup.ts', 'spec/support/packed.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    reporters: ['default', new ClosingLineReporter()],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
})
