import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Account {
  uid: number
  gid: number
}

/** PostgreSQL refuses to run as root, so root lends it another account; everybody else runs it as themselves: null. */
export async function postgresAccount(): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((fields) => fields[0] === name) ?? []
    // macOS gives nobody the id -2.
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }
  }
  throw new Error('PostgreSQL refuses to run as root, and /etc/passwd has neither postgres nor nobody to run it as.')
}

/** The first folder on the way down to `path` that keeps the account out, or null. The kernel decides, not mode bits. */
export async function barrier(account: Account | null, path: string): Promise<string | null> {
  if (account === null) return null
  const script = 'for folder do test -x "$folder" || { printf %s "$folder"; break; }; done'
  const { stdout } = await run('sh', ['-c', script, 'sh', ...ancestors(path)], { ...account, cwd: '/' })
  return stdout === '' ? null : stdout
}

/** A folder for one cluster's data, the account's own. */
export async function ownFolder(account: Account | null, dir: string): Promise<void> {
  await mkdir(dirname(dir), { recursive: true })
  const closed = await barrier(account, dirname(dir))
  if (account && closed) {
    throw new Error(
      `PostgreSQL cannot keep its data in ${dir}: it does not run as root but as user id ${account.uid}, which may not ` +
        `enter ${closed}. Choose another folder, or open that one with: chmod o+x ${closed}`,
    )
  }
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await chmod(dir, 0o700)
  if (account) await chown(dir, account.uid, account.gid)
}

/** A new temporary folder that the account of PostgreSQL can enter, so that clusters may live in it. The caller removes it. */
export async function temporaryFolder(prefix: string): Promise<string> {
  const account = await postgresAccount()
  for (const parent of [tmpdir(), '/tmp', '/var/tmp']) {
    if ((await barrier(account, parent)) !== null) continue
    const folder = await mkdtemp(join(parent, prefix))
    if (account) await chmod(folder, 0o711)
    return folder
  }
  throw new Error(
    `User id ${account?.uid} may enter none of ${tmpdir()}, /tmp and /var/tmp. Set TMPDIR to a folder it may.`,
  )
}

function ancestors(path: string): string[] {
  const folders: string[] = []
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    folders.unshift(folder)
    if (folder === dirname(folder)) return folders
  }
}
