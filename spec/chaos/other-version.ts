import { execFile } from 'node:child_process'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'

const run = promisify(execFile)
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const VERSION = '0.0.1'

export interface OtherVersion {
  readonly version: string
  /** The command `geo` of it. */
  readonly command: string
  remove(): Promise<void>
}

/**
 * The package as it is built, under another version number. It is the same code: a clone has no earlier release to run. What differs is
 * what a process says it is, and that JavaScript that was built works beside sources.
 */
export async function buildOtherVersion(): Promise<OtherVersion> {
  // Where its imports find what it depends on.
  const folder = join(REPOSITORY, 'node_modules', `.geo-chaos-${process.pid}`)
  const callOff = afterDeath('rm -rf "$1"', folder)
  const remove = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true })
    callOff()
  }
  try {
    await mkdir(folder)
    const compiler = join(REPOSITORY, 'node_modules/.bin/tsc')
    await run(compiler, ['-p', 'tsconfig.build.json', '--outDir', folder, '--declaration', 'false'], {
      cwd: REPOSITORY,
    })
    const assets = 'lib/view/admin/assets'
    await cp(join(REPOSITORY, assets), join(folder, assets), { recursive: true })
    const itself = { name: 'express-geo-replication', version: VERSION, type: 'module' }
    await writeFile(join(folder, 'package.json'), JSON.stringify(itself))
    const command = join(folder, 'lib/cli/geo.js')
    const { stdout } = await run(process.execPath, [command, '--version'])
    if (stdout.trim() !== VERSION) throw new Error(`The other version calls itself ${stdout.trim()}`)
    return { version: VERSION, command, remove }
  } catch (reason) {
    await remove()
    throw reason
  }
}
