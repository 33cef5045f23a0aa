import { execFile } from 'node:child_process'
import { copyFile, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/**
 * Unleash's server, apart from the project's own dependencies: 200 MB that only these specs need. Run as a program it installs it,
 * and ends with 1 where that cannot be done.
 */
const FOLDER = fileURLToPath(new URL('../../fixtures/unleash', import.meta.url))
const LOCK = `${FOLDER}/package-lock.json`
/** The lock file of what is installed. */
const INSTALLED = `${FOLDER}/node_modules/.installed-lock.json`

export const UNLEASH_SERVER = `${FOLDER}/node_modules/unleash-server/dist/server.js`

/** What is there and in step with the lock file stays. Rejects with what npm says. */
export async function installUnleash(): Promise<void> {
  if ((await textOf(LOCK)) === (await textOf(INSTALLED))) return
  // Scripts of packages are not needed, and one of them would report the installation.
  const options = ['--ignore-scripts', '--no-audit', '--no-fund']
  await promisify(execFile)('npm', ['ci', ...options], { cwd: FOLDER })
  await copyFile(LOCK, INSTALLED)
}

async function textOf(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}

if (import.meta.main) {
  try {
    await installUnleash()
  } catch (error) {
    console.error(`unleash-server could not be installed: ${(error as { stderr?: string }).stderr ?? String(error)}`)
    process.exitCode = 1
  }
}
