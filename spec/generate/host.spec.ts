import { afterEach, describe, expect, it } from 'vitest'
import { type Host, readHost } from '../../lib/generate/host.ts'
import type { ModuleKind } from '../../lib/generate/module-style.ts'
import { type HostFolder, hostFolder } from '../support/host-folder.ts'

let made: HostFolder | null = null

afterEach(async () => {
  await made?.remove()
  made = null
})

async function found(files: Record<string, string>, module?: ModuleKind): Promise<Host> {
  made = await hostFolder(files)
  return readHost(made.path, { module })
}

const ESM = { 'package.json': '{"type":"module"}' }
const tsconfig = (options: object, base = {}): Record<string, string> => ({
  'tsconfig.json': JSON.stringify({ ...base, compilerOptions: options }),
})

describe('the style of module of a host', () => {
  const cases: [title: string, files: Record<string, string>, module: ModuleKind | undefined, style: string][] = [
    ['nothing at all', {}, undefined, 'commonjs .js .js'],
    ['a package of CommonJS', { 'package.json': '{"type":"commonjs"}' }, undefined, 'commonjs .js .js'],
    ['a package of ES modules', ESM, undefined, 'esm .js .js'],
    ['ES modules that are asked for', {}, 'esm', 'esm .mjs .mjs'],
    ['CommonJS that is asked for', ESM, 'commonjs', 'commonjs .cjs .cjs'],
    ['a tsconfig that wants .js in imports', { ...ESM, ...tsconfig({}) }, undefined, 'typescript .ts .js'],
    ['one that allows .ts', tsconfig({ allowImportingTsExtensions: true }), undefined, 'typescript .ts .ts'],
    ['one that rewrites .ts', tsconfig({ rewriteRelativeImportExtensions: true }), undefined, 'typescript .ts .ts'],
    [
      'one whose base does',
      {
        ...tsconfig({}, { extends: ['./base'] }),
        'base.json': '{ "compilerOptions": {"allowImportingTsExtensions": true}, }',
      },
      undefined,
      'typescript .ts .ts',
    ],
    [
      'one that has it in a comment only',
      { 'tsconfig.json': '{ // "allowImportingTsExtensions": true\n "extends": "not-installed/tsconfig" }' },
      undefined,
      'typescript .ts .js',
    ],
    ['a config in TypeScript that Node runs', { ...ESM, 'geo.config.ts': '' }, undefined, 'typescript .ts .ts'],
  ]

  it.each(cases)('is found: %s', async (_, files, module, style) => {
    const { kind, extension, importExtension } = (await found(files, module)).style
    expect(`${kind} ${extension} ${importExtension}`).toBe(style)
  })
})

describe('the specs of a host', () => {
  const packageOf = (content: object): Record<string, string> => ({ 'package.json': JSON.stringify(content) })
  const cases: [title: string, files: Record<string, string>, where: string][] = [
    ['no runner', {}, 'node:test test/geo .test'],
    ['vitest', { ...packageOf({ devDependencies: { vitest: '5' } }), 'spec/a.spec.ts': '' }, 'vitest spec/geo .spec'],
    [
      'jest in a script',
      { ...packageOf({ scripts: { test: 'jest --ci' } }), '__tests__/a.ts': '' },
      'jest __tests__/geo .test',
    ],
    [
      'node:test beside vitest',
      packageOf({ scripts: { test: 'node --test' }, devDependencies: { vitest: '5' } }),
      'node:test test/geo .test',
    ],
    ['node:test in a folder called spec', { 'spec/a.test.js': '' }, 'node:test spec/geo .test'],
  ]

  it.each(cases)('lie where its own do: %s', async (_, files, where) => {
    const { runner, specs, specSuffix } = await found(files)
    expect(`${runner} ${specs} ${specSuffix}`).toBe(where)
  })
})

describe('the migrations of a host', () => {
  const DEFAULT = { main: 'migrations/main', tracking: 'migrations/tracking' }
  const cases: [title: string, knexfile: string | null, migrations: Host['migrations'], environment: string | null][] =
    [
      ['no knexfile', null, DEFAULT, 'main'],
      ['a plain config', "{ client: 'pg', migrations: { directory: 'db' } }", { ...DEFAULT, main: 'db' }, null],
      [
        'a config for development',
        "{ test: {}, development: { migrations: { directory: './db' } } }",
        { ...DEFAULT, main: 'db' },
        'development',
      ],
      [
        'a config for something else',
        "{ live: { migrations: { directory: './db' } } }",
        { ...DEFAULT, main: 'db' },
        'live',
      ],
      [
        'a function, and folders of the SDK among them',
        `async () => ({ main: { migrations: { directory: [folders.main, './a', './b'] } },
         tracking: { migrations: { directory: [folders.tracking, './c'] } } })`,
        { main: 'b', tracking: 'c' },
        'main',
      ],
      ['no folder of its own', '{ main: { migrations: { directory: folders.main } } }', DEFAULT, 'main'],
    ]

  it.each(cases)('lie where its knexfile says: %s', async (_, knexfile, migrations, environment) => {
    const text = `import { migrationFolders as folders } from 'express-geo-replication'\nexport default ${knexfile}\n`
    const host = await found({ ...ESM, ...(knexfile !== null && { 'knexfile.js': text }) })
    expect(host.migrations).toEqual(migrations)
    expect(host.mainEnvironment).toBe(environment)
  })

  it('are unknown where the knexfile cannot be loaded', async () => {
    await expect(found({ ...ESM, 'knexfile.js': 'throw new Error("no database")' })).rejects.toMatchObject({
      code: 'CONFIG_UNREADABLE',
      message: expect.stringContaining('knexfile.js: no database'),
    })
  })
})
