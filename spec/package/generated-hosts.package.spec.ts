import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../lib/errors.ts'
import { withClient } from '../../lib/testing/postgres/database-server.ts'
import { createEmptyDatabase } from '../support/empty-database.ts'
import { exitOf } from '../support/exit-of.ts'
import { type HostFolder, hostFolder } from '../support/host-folder.ts'
import { commandWith } from '../support/in-process-cli.ts'
import { GRAPHQL } from '../support/small-host.ts'
import { unpackedPackage } from './unpacked.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BIN = `${ROOT}node_modules/.bin`

const TSCONFIG = JSON.stringify({
  compilerOptions: {
    target: 'es2024',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    exactOptionalPropertyTypes: true,
    verbatimModuleSyntax: true,
    isolatedModules: true,
    skipLibCheck: true,
    noEmit: true,
  },
})
// In the words of a person: comments and a base.
const TS_EXTENSIONS = `{
  // What Node needs.
  "extends": "./tsconfig.base.json",
  "compilerOptions": { "rewriteRelativeImportExtensions": true, "erasableSyntaxOnly": true /* no enums */ },
}`

/** What each host has of its own: the tables whose rows have files. */
const UP = `await knex.raw(\`create table widgets (id bigserial primary key, name text not null, file_path text);
    create schema app;
    create table app.people (person_id uuid primary key default gen_random_uuid(), portrait text not null)\`)`
const DOWN = 'await knex.raw("drop table widgets; drop schema app cascade")'
const OWN_TABLES = {
  typescript: `import type { Knex } from 'knex'
export const up = async (knex: Knex): Promise<void> => { ${UP} }
export const down = async (knex: Knex): Promise<void> => { ${DOWN} }`,
  esm: `export const up = async (knex) => { ${UP} }\nexport const down = async (knex) => { ${DOWN} }`,
  commonjs: `exports.up = async (knex) => { ${UP} }\nexports.down = async (knex) => { ${DOWN} }`,
}

/** Where generated files lie. Not the whole folder, or biome would look at its own config. */
const WRITTEN = ['geo', 'migrations', 'test']

interface Style {
  readonly kind: keyof typeof OWN_TABLES
  readonly extension: string
  readonly files: Record<string, string>
  readonly options?: string[]
}

const STYLES: [title: string, style: Style][] = [
  [
    'TypeScript that Node runs',
    {
      kind: 'typescript',
      extension: '.ts',
      files: { 'package.json': '{"type":"module"}', 'tsconfig.json': TS_EXTENSIONS, 'tsconfig.base.json': TSCONFIG },
    },
  ],
  ['ES modules', { kind: 'esm', extension: '.js', files: { 'package.json': '{"type":"module"}' } }],
  ['CommonJS', { kind: 'commonjs', extension: '.js', files: { 'package.json': '{"type":"commonjs"}' } }],
  ['ES modules among CommonJS', { kind: 'esm', extension: '.mjs', files: {}, options: ['--module', 'esm'] }],
]

let built: Awaited<ReturnType<typeof unpackedPackage>>

beforeAll(async () => {
  built = await unpackedPackage()
})
afterAll(() => built?.remove())

describe.each(STYLES)('a host in %s', (_, { kind, extension, files, options = [] }) => {
  let host: HostFolder
  let main: Awaited<ReturnType<typeof createEmptyDatabase>>
  let tracking: Awaited<ReturnType<typeof createEmptyDatabase>>

  beforeEach(async () => {
    main = await createEmptyDatabase()
    tracking = await createEmptyDatabase()
    const own = `migrations/main/20200101000000_create_tables${extension}`
    host = await hostFolder({ ...files, [own]: OWN_TABLES[kind] }, { built: built.path })
  })
  afterEach(async () => {
    await host.remove()
    await main.drop()
    await tracking.drop()
  })

  const run = (program: string, ...args: string[]) =>
    exitOf(program, args, {
      cwd: host.path,
      SITE_NAME: 'tokyo',
      MAIN_DATABASE_URL: main.url,
      TRACKING_DATABASE_URL: tracking.url,
      BLOBS_DIR: `${host.path}/blobs`,
      GEO_ENCRYPTION_KEY: 'ab'.repeat(32),
    })
  const geo = (...args: string[]) => run('node', `${built.path}/dist/lib/cli/geo.js`, ...args)
  const knex = (...args: string[]) => run('node', `${host.path}/node_modules/knex/bin/cli.js`, ...args)
  const tables = ({ url }: { url: string }) =>
    withClient(url, async (client) => {
      const { rows } = await client.query(
        "select relname from pg_class where relkind = 'r' and relname ~ '^(widget|pe|geo)'",
      )
      return rows.map((row) => row.relname)
    })

  it('is begun, gets two types, and migrates up and down by the plain knex command', async () => {
    const generate = commandWith(asksNoDatabase, { folder: host.path })
    expect(await generate('generate', 'site-config', ...options)).toMatchObject({ status: 0, stderr: '' })
    const widget = ['Widget', '--table', 'widgets', '--verification', 'separate', '--blob-column', 'file_path']
    expect(await generate('generate', 'type', ...widget, '--yes', ...options)).toMatchObject({ status: 0 })
    // So that both runners, and a spec with GraphQL, are type-checked.
    const packageJson = JSON.parse(files['package.json'] ?? '{}')
    await host.write('package.json', JSON.stringify({ ...packageJson, devDependencies: { vitest: '5', ...GRAPHQL } }))
    const person = ['Person', '--table', 'app.people', '--verification', 'columns', '--blob-column', 'portrait']
    const key = ['--key-column', 'person_id', '--key-type', 'uuid']
    expect(await generate('generate', 'type', ...person, ...key, ...options)).toMatchObject({ status: 0 })
    expect(Object.keys(await host.texts())).toContain(`geo/person${extension}`)

    // The config is loaded, with both types in it.
    expect(await geo('generate', 'triggers', 'Person', ...options)).toMatchObject({ status: 0, stderr: '' })

    for (const env of ['main', 'tracking']) {
      expect(await knex('migrate:latest', '--env', env)).toMatchObject({ status: 0, stderr: '' })
    }
    expect(await tables(main)).toEqual(expect.arrayContaining(['geo_nodes', 'people', 'widget_states']))
    expect(await tables(tracking)).toEqual(expect.arrayContaining(['person_registry', 'widget_registry']))
    expect(await withClient(main.url, triggersOf('app.people'))).toContain('geo_person_created')

    await host.write('biome.json', await formatOnly())
    const atTop = (await readdir(host.path)).filter((name) => /^(geo\.config|knexfile)\./.test(name))
    const formatted = await run(`${BIN}/biome`, 'check', '--linter-enabled=false', ...WRITTEN, ...atTop)
    expect(formatted.status, formatted.stdout + formatted.stderr).toBe(0)
    if (kind === 'typescript') expect(await run(`${BIN}/tsc`, '-p', '.')).toEqual({ status: 0, stdout: '', stderr: '' })

    for (const env of ['main', 'tracking']) {
      expect(await knex('migrate:rollback', '--all', '--env', env)).toMatchObject({ status: 0, stderr: '' })
    }
    expect(await tables(main)).toEqual([])
    expect(await tables(tracking)).toEqual([])
  })
})

async function asksNoDatabase(): Promise<never> {
  throw new ConfigurationError('CONFIG_NOT_FOUND', 'It is not asked here')
}

const triggersOf = (table: string) => async (client: Client) => {
  const { rows } = await client.query('select tgname from pg_trigger where tgrelid = $1::regclass', [table])
  return rows.map(({ tgname }) => tgname)
}

/** How this repo is formatted; the host's own migration is not looked at. */
async function formatOnly(): Promise<string> {
  const { formatter, javascript } = JSON.parse(await readFile(`${ROOT}biome.json`, 'utf8'))
  const includes = ['**', '!**/*_create_tables.*']
  return JSON.stringify({ formatter, javascript, files: { includes } })
}
