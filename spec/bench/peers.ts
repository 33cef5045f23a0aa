import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What ours is measured against: the program, and Debian's package that has it. */
const PACKAGES = {
  xxhsum: 'xxhash',
  rclone: 'rclone',
  curl: 'curl',
  psql: 'postgresql-client',
} as const
export type Peer = keyof typeof PACKAGES

/** Sees that the programs are there, and installs those that are not where apt can. Returns what versions they are of. */
export async function findPeers(peers: readonly Peer[]): Promise<Record<string, string>> {
  const missing: Peer[] = []
  for (const peer of peers) if (!(await versionOf(peer))) missing.push(peer)
  if (missing.length > 0) await install(missing)
  const versions: Record<string, string> = {}
  for (const peer of peers) {
    const version = await versionOf(peer)
    if (!version) throw new Error(`There is no ${peer}: install the package ${PACKAGES[peer]}.`)
    versions[peer] = version
  }
  return versions
}

async function versionOf(peer: Peer): Promise<string | null> {
  const asked = peer === 'rclone' ? ['version'] : ['--version']
  try {
    const { stdout, stderr } = await run(peer, asked)
    return /v?(\d+(\.\d+)+[\w.-]*)/.exec(stdout || stderr)?.[1] ?? null
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw reason
  }
}

async function install(missing: readonly Peer[]): Promise<void> {
  const packages = missing.map((peer) => PACKAGES[peer])
  const root = process.getuid?.() === 0 ? [] : ['sudo']
  const [program = 'apt-get', ...before] = [...root, 'apt-get']
  const failure = (reason: unknown) =>
    new Error(`${missing.join(', ')} could not be installed: install ${packages.join(' ')} yourself.`, {
      cause: reason,
    })
  try {
    await run(program, [...before, 'update', '-qq'])
    await run(program, [...before, 'install', '-y', '-qq', ...packages])
  } catch (reason) {
    throw failure(reason)
  }
}
