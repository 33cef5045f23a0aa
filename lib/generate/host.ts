import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigurationError, messageOf } from '../errors.ts'
import { namesIn } from '../if-there.ts'
import { type KnexFolders, knexFolders } from './knex-folders.ts'
import { exists, type ModuleKind, type ModuleStyle, moduleStyleOf, type PackageJson } from './module-style.ts'

export type Runner = 'vitest' | 'jest' | 'node:test'

/** What is found in the folder of a host. Paths are relative to it, with slashes. */
export interface Host {
  readonly folder: string
  readonly style: ModuleStyle
  readonly runner: Runner
  /** Whether it has all that the GraphQL API needs. */
  readonly hasGraphql: boolean
  /** Its knexfile, or null. */
  readonly knexfile: string | null
  /** The environment of the main database there; null where the knexfile is that of this database alone. */
  readonly mainEnvironment: string | null
  readonly migrations: Readonly<Record<'main' | 'tracking', string>>
  /** Whether its knexfile lets Knex load the migrations that are written. */
  readonly loadsMigrations: boolean
  /** Where generated specs go. */
  readonly specs: string
  /** How the names of specs end, before the extension: `.spec` or `.test`. */
  readonly specSuffix: string
}

const DECLARATIONS = 'geo'
const GRAPHQL_PACKAGES = ['graphql', 'graphql-yoga', '@pothos/core', '@pothos/plugin-relay', 'dataloader']
const SPEC_FOLDERS = ['spec', 'test', 'tests', '__tests__']

/** @throws ConfigurationError `CONFIG_UNREADABLE` for a package.json or a knexfile that cannot be read */
export async function readHost(folder: string, { module }: { module?: ModuleKind | undefined } = {}): Promise<Host> {
  const packageJson = await readPackageJson(folder)
  const style = await moduleStyleOf(folder, packageJson, module)
  const knex: KnexFolders = await knexFolders(folder)
  const runner = runnerOf(packageJson)
  const specs = await firstThere(folder, SPEC_FOLDERS, 'test')
  return Object.freeze({
    folder,
    style,
    runner,
    hasGraphql: GRAPHQL_PACKAGES.every((name) => hasPackage(packageJson, name)),
    knexfile: knex.knexfile,
    mainEnvironment: knex.mainEnvironment,
    migrations: Object.freeze({
      main: knex.main ?? 'migrations/main',
      tracking: knex.tracking ?? 'migrations/tracking',
    }),
    loadsMigrations: knex.loadExtensions.includes(style.extension),
    specs: `${specs}/${DECLARATIONS}`,
    // Node looks for tests under no other name.
    specSuffix: specs === 'spec' && runner !== 'node:test' ? '.spec' : '.test',
  })
}

/** Where the module `name` of the host's declarations is, whatever its extension, or null. */
export async function declarationFile(folder: string, name: string): Promise<string | null> {
  const entries = await namesIn(join(folder, DECLARATIONS))
  const found = entries.find((entry) => new RegExp(`^${name}\\.[cm]?[jt]s$`).test(entry))
  return found === undefined ? null : `${DECLARATIONS}/${found}`
}

async function readPackageJson(folder: string): Promise<PackageJson> {
  const file = join(folder, 'package.json')
  if (!(await exists(file))) return {}
  try {
    return JSON.parse(await readFile(file, 'utf8')) as PackageJson
  } catch (reason) {
    throw new ConfigurationError('CONFIG_UNREADABLE', `${file}: ${messageOf(reason)}`, { cause: reason })
  }
}

function runnerOf(packageJson: PackageJson): Runner {
  const script = packageJson.scripts?.['test'] ?? ''
  if (/\bnode\b.*--test\b/.test(script)) return 'node:test'
  const isUsed = (runner: string): boolean =>
    new RegExp(`(^|\\s)${runner}(\\s|$)`).test(script) || hasPackage(packageJson, runner)
  return (['vitest', 'jest'] as const).find(isUsed) ?? 'node:test'
}

function hasPackage({ dependencies = {}, devDependencies = {} }: PackageJson, name: string): boolean {
  return name in dependencies || name in devDependencies
}

async function firstThere(folder: string, names: readonly string[], otherwise: string): Promise<string> {
  for (const name of names) if (await exists(join(folder, name))) return name
  return otherwise
}
