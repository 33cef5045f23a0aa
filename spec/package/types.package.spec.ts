import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../support/entries.ts'
import { type InstalledHost, installHost } from './installed-host.ts'

const OPTIONS = [
  '--noEmit',
  '--strict',
  '--exactOptionalPropertyTypes',
  '--noUncheckedIndexedAccess',
  '--target',
  'es2022',
]
const THEIRS = 'node_modules/typescript/bin/tsc'
const OURS = join(ROOT, 'node_modules/typescript/bin/tsc')

describe("a host's own types", () => {
  let host: InstalledHost

  beforeAll(async () => {
    const types = ['@types/express@5', '@types/node@24', 'typescript@5.9']
    host = await installHost('module', 'express@5', 'knex', 'pg', ...types, 'vitest', '@jest/globals')
    // The same as CommonJS.
    for (const name of ['typed-host', 'typed-kit']) {
      const text = await readFile(join(host.path, `${name}.ts`), 'utf8')
      await writeFile(join(host.path, `${name}.cts`), text.replaceAll('./typed-host.js', './typed-host.cjs'))
    }
  })
  afterAll(() => host?.remove())

  async function compiled(compiler: string, module: string, ...files: string[]): Promise<string> {
    const options = [...OPTIONS, '--skipLibCheck', 'false', '--types', 'node', '--module', module]
    const { stdout, stderr } = await host.run(process.execPath, [compiler, ...options, ...files])
    return stdout + stderr
  }

  it.each([
    // The strictest of what hosts have: CommonJS may not require what is declared as ESM.
    ['TypeScript 5.9', 'node16', THEIRS],
    ["this repo's TypeScript", 'nodenext', OURS],
  ])(
    'compile with %s and module %s, without one optional peer and without skipLibCheck',
    async (_, module, compiler) => {
      const files = ['typed-host.ts', 'typed-host.cts', 'typed-kit.ts', 'typed-kit.cts']
      expect(await compiled(compiler, module, ...files)).toBe('')
    },
  )

  it('compile with the functions of vitest', async () => {
    expect(await compiled(OURS, 'nodenext', 'typed-vitest.ts')).toBe('')
  })

  it('compile with what GraphQL and flags need once that is installed', async () => {
    const peers = ['graphql', 'graphql-yoga', '@pothos/core', '@pothos/plugin-relay', 'dataloader', 'unleash-client@6']
    await host.install(...peers)
    expect(await compiled(OURS, 'nodenext', 'typed-graphql.ts')).toBe('')
  })
})
