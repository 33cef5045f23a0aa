import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigurationError } from '../errors.ts'
import type { Geo } from '../facade.ts'
import type { GeoOptions } from '../options.ts'

const DEFAULT_NAMES = ['geo.config.ts', 'geo.config.js', 'geo.config.mjs', 'geo.config.cjs']

/**
 * The options the host exports as default from its config file, or from a function there.
 * @throws ConfigurationError `INVALID_OPTIONS` where there is no such file or no such export
 */
export async function loadConfig(path: string | undefined): Promise<GeoOptions> {
  const file = path === undefined ? await findConfig() : await requireFile(resolve(path))
  const { default: exported } = (await import(pathToFileURL(file).href)) as { default?: unknown }
  const options: unknown = typeof exported === 'function' ? await exported() : exported
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError('INVALID_OPTIONS', `${file} must export the options of createGeo as default`)
  }
  return options as GeoOptions
}

async function requireFile(file: string): Promise<string> {
  try {
    await access(file)
    return file
  } catch (reason) {
    throw new ConfigurationError('INVALID_OPTIONS', `There is no ${file}`, { cause: reason })
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
  throw new ConfigurationError('INVALID_OPTIONS', `No ${DEFAULT_NAMES.join(', ')} here; name the file with --config`)
}

/** Runs a command on the SDK of the config in this process, which does no background work, and closes what it has opened. */
export async function withGeo(path: string | undefined, act: (geo: Geo) => Promise<void>): Promise<void> {
  const options = await loadConfig(path)
  // Most of the SDK is behind this: other commands, and --help, do not wait for it.
  const { createGeo } = await import('../geo.ts')
  const geo = createGeo({ ...options, work: false })
  try {
    await act(geo)
  } finally {
    await geo.stop()
    await Promise.all([options.mainDb.destroy(), options.trackingDb?.destroy()])
  }
}
