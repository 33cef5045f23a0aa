import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type InstalledHost, installHost } from './installed-host.ts'

const ENVIRONMENT = { GEO_TEST_DATABASE_URL: inject('databaseServers').primaryUrl, CI: '1', NO_COLOR: '1' }

describe('the testing kit, installed in a host', () => {
  let host: InstalledHost

  beforeAll(async () => {
    host = await installHost('commonjs', 'express@5', 'knex', 'pg', 'vitest', 'jest')
  })
  afterAll(() => host?.remove())

  const runs: Record<string, { args: string[]; passed: RegExp }> = {
    'node:test': { args: ['--test', '--test-reporter=tap', 'upload.node.spec.mjs'], passed: /^# fail 0$/m },
    vitest: {
      args: ['node_modules/vitest/vitest.mjs', 'run', 'upload.vitest.spec.mjs'],
      passed: /Tests\s+\d{2} passed \(\d+\)/,
    },
    'jest as ESM': {
      args: ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--testMatch', '**/upload.jest.spec.mjs'],
      passed: /Tests:\s+\d{2} passed, \d+ total/,
    },
    'jest as CommonJS': {
      args: ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--testMatch', '**/upload.jest.spec.cjs'],
      passed: /Tests:\s+\d{2} passed, \d+ total/,
    },
  }
  for (const [name, { args, passed }] of Object.entries(runs)) {
    it(`runs under ${name}`, async () => {
      const { status, stdout, stderr } = await host.run(process.execPath, args, ENVIRONMENT)
      expect(stdout + stderr).toMatch(passed)
      expect(status).toBe(0)
    })
  }
})
