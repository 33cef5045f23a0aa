import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { ROOT } from '../support/entries.ts'
import { exitOf } from '../support/exit-of.ts'

/** The packed package in a folder of its own, with the packages of this repo beside it: nothing is fetched. */
export async function unpackedPackage(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'geo-package-'))
  const { status, stderr } = await exitOf('tar', ['-xzf', inject('tarball'), '--strip-components=1', '-C', path], {
    cwd: path,
  })
  if (status !== 0) throw new Error(`The package could not be unpacked: ${stderr}`)
  await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}
