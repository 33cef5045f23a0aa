import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** The admin pages in a real browser, against two running sites. */
export default defineConfig({
  test: {
    include: ['spec/browser/**/*.browser.spec.ts'],
    globalSetup: ['spec/support/global-setup.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    // As in vitest.config.ts.
    alias: { graphql: fileURLToPath(import.meta.resolve('graphql')) },
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
})
