import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigurationError, GeoError, messageOf } from '../errors.ts'
import { type GeoOptions, type GeoSettings, parseOptions } from '../options.ts'

const DEFAULT_NAMES = ['geo.config.ts', 'geo.config.js', 'geo.config.mjs', 'geo.config.cjs']

/**
 * The options that the host exports as default from its config file, or from a function there, checked.
 * @throws ConfigurationError `INVALID_OPTIONS`, `CONFIG_NOT_FOUND`, `CONFIG_UNREADABLE`
 */
export async function loadSettings(path: string | undefined): Promise<GeoSettings> {
  const file = path === undefined ? await findConfig() : await requireFile(resolve(path))
  const options = await evaluate(file)
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError('INVALID_OPTIONS', `${file} must export the options of createGeo as default`)
  }
  return parseOptions(options as GeoOptions)
}

async function evaluate(file: string): Promise<unknown> {
  try {
    const { default: exported } = (await import(pathToFileURL(file).href)) as { default?: unknown }
    return typeof exported === 'function' ? await exported() : exported
  } catch (reason) {
    if (reason instanceof GeoError) throw reason
    throw new ConfigurationError('CONFIG_UNREADABLE', `${file}: ${messageOf(reason)}`, { cause: reason })
  }
}

async function requireFile(file: string): Promise<string> {
  try {
    await access(file)
    return file
  } catch (reason) {
    throw new ConfigurationError('CONFIG_NOT_FOUND', `There is no ${file}`, { cause: reason })
  }
}

async function findConfig(): Promise<string> {
  for (const name of DEFAULT_NAMES) {
    const there = await access(name).then(
      () => true,
      () => false,
    )
    if (there) return resolve(name)
  }
  throw new ConfigurationError('CONFIG_NOT_FOUND', `There is no ${DEFAULT_NAMES.join(', ')} here`)
}
