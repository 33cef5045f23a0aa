import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Takes docs/pictures anew, of running sites. No check: nothing compares pictures. */
export default defineConfig({
  test: {
    include: ['spec/pictures/*.pictures.ts'],
    globalSetup: ['spec/support/global-setup.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    // As in vitest.config.ts.
    alias: { graphql: fileURLToPath(import.meta.resolve('graphql')) },
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})
