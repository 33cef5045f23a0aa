import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './support/closing-line-reporter.ts'
import { LongestFirst } from './support/longest-first.ts'

/**
 * The version of graphql, by the name of its package here, that our own modules get. Where Vite would take the build for
 * development and Node another one, no error would be an instance of the other's class.
 */
const withGraphql = (name: string, major: number) => ({
  alias: { graphql: fileURLToPath(import.meta.resolve(name)) },
  provide: { graphqlMajor: major },
})

export default defineConfig({
  test: {
    globalSetup: ['spec/support/global-setup.ts'],
    setupFiles: ['spec/support/leak-check.ts'],
    reporters: ['default', new ClosingLineReporter()],
    pool: 'forks',
    // A file is over when nothing of it is left (leak-check.ts); the modules may stay, for loading them anew takes a tenth of the run.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // Twice as many as cores: most specs wait for a database or another process most of the time.
    maxWorkers: 4,
    // How long a machine may take that does much else besides: what is measured is measured elsewhere.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        extends: true,
        test: {
          ...withGraphql('graphql', 17),
          name: 'all',
          include: ['spec/**/*.spec.ts'],
          exclude: ['spec/**/*.scale.spec.ts', 'spec/browser/**', 'spec/package/**', 'spec/unleash/**'],
        },
      },
      {
        extends: true,
        test: {
          ...withGraphql('graphql-16', 16),
          name: 'graphql-16',
          include: ['spec/view/graphql/**/*.spec.ts', 'spec/contract/*-graphql.spec.ts'],
          exclude: ['spec/**/*.scale.spec.ts', 'spec/browser/**', 'spec/package/**'],
          execArgv: ['--import', './spec/support/graphql-16.ts'],
        },
      },
    ],
  },
})
