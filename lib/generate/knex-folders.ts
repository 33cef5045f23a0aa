import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Knex } from 'knex'
import { ConfigurationError, messageOf } from '../errors.ts'
import { migrationFolders } from '../migration-folders.ts'
import { exists } from './module-style.ts'

/** The folders of a host's own migrations, as its knexfile names them. */
export interface KnexFolders {
  readonly knexfile: string | null
  /** What the environment of the main database is called; null where the whole is its config. */
  readonly mainEnvironment: string | null
  readonly main: string | null
  readonly tracking: string | null
  /** What the names of migrations of the main database may end with. */
  readonly loadExtensions: readonly string[]
}

const NAMES = ['knexfile.js', 'knexfile.mjs', 'knexfile.cjs', 'knexfile.ts']
// Of those that Knex loads where nothing is said, the ones in JavaScript and TypeScript.
const LOADED = Object.freeze(['.js', '.cjs', '.ts'])
const OURS = Object.freeze([...LOADED, '.mjs'])
const NONE = Object.freeze({
  knexfile: null,
  mainEnvironment: 'main',
  main: null,
  tracking: null,
  loadExtensions: OURS,
})

/** @throws ConfigurationError `CONFIG_UNREADABLE` */
export async function knexFolders(folder: string): Promise<KnexFolders> {
  for (const knexfile of NAMES) {
    if (!(await exists(join(folder, knexfile)))) continue
    const config = await load(join(folder, knexfile))
    const mainEnvironment = mainEnvironmentOf(config)
    const main = mainEnvironment === null ? config : config[mainEnvironment]
    return Object.freeze({
      knexfile,
      mainEnvironment,
      main: ownFolder(folder, main),
      tracking: ownFolder(folder, config['tracking']),
      loadExtensions: main?.migrations?.loadExtensions ?? LOADED,
    })
  }
  return NONE
}

type Environments = Readonly<Record<string, Knex.Config | undefined>>

async function load(file: string): Promise<Knex.Config & Environments> {
  try {
    const loaded = (await import(pathToFileURL(file).href)) as { default?: unknown }
    const config = loaded.default ?? loaded
    return (typeof config === 'function' ? await config() : config) as Knex.Config & Environments
  } catch (reason) {
    throw new ConfigurationError('CONFIG_UNREADABLE', `${file}: ${messageOf(reason)}`, { cause: reason })
  }
}

/** By our name, else the one for development, else the first; a plain config is that of the main database. */
function mainEnvironmentOf(config: Knex.Config & Environments): string | null {
  const names = Object.keys(config)
  const usual = ['main', 'development'].find((name) => names.includes(name))
  return usual ?? (config.client || config.migrations ? null : (names[0] ?? null))
}

/** The last folder that is not the SDK's, from the host's own. */
function ownFolder(folder: string, config: Knex.Config | undefined): string | null {
  const named = [config?.migrations?.directory ?? []].flat()
  const own = named.map((path) => resolve(folder, path)).filter((path) => !isOfSdk(path))
  const last = own.at(-1)
  if (last === undefined) return null
  const path = relative(folder, last)
  return isAbsolute(path) ? path : path.split(sep).join('/')
}

function isOfSdk(path: string): boolean {
  return Object.values(migrationFolders).includes(path) || path.includes(`${sep}express-geo-replication${sep}`)
}
