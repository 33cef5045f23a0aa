import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { ROOT } from './entries.ts'
import { exitOf } from './exit-of.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The path of the package as npm would publish it. */
    tarball: string
  }
}

/** Builds and packs the package once for the whole run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'geo-packed-'))
  const { status, stdout, stderr } = await exitOf('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: ROOT,
    // What the build prints would stand before the JSON.
    npm_config_foreground_scripts: 'false',
  })
  if (status !== 0) throw new Error(`The package could not be packed: ${stderr}`)
  const [packed]: { filename: string }[] = JSON.parse(stdout.slice(stdout.indexOf('[')))
  project.provide('tarball', join(folder, packed?.filename ?? ''))
  return () => rm(folder, { recursive: true, force: true })
}
