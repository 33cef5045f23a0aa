import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { postgresAccount, temporaryFolder } from '../../../lib/testing/postgres/account.ts'
import { type Cluster, startCluster, startPrimaryWithStandby } from '../../../lib/testing/postgres/cluster.ts'
import { withClient } from '../../../lib/testing/postgres/database-server.ts'

const FAST_SETTINGS = { fsync: 'off', full_page_writes: 'off' }
const run = promisify(execFile)

// A cluster takes a second to make; on a busy machine many.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let folder: string

beforeAll(async () => {
  folder = await temporaryFolder('geo-cluster-spec-')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a primary with its standby', () => {
  let primary: Cluster
  let standby: Cluster

  beforeAll(async () => {
    const pair = await startPrimaryWithStandby({ dir: join(folder, 'pair'), settings: FAST_SETTINGS })
    primary = pair.primary
    standby = pair.standby
  })
  afterAll(() => Promise.all([primary?.stop(), standby?.stop()]))

  it('shows on the standby what is written on the primary', async () => {
    await query(primary.url(), "create table notes as select 'hello' as text")
    await expect.poll(() => query(standby.url(), 'select text from notes').catch(String)).toEqual([{ text: 'hello' }])
  })

  it('refuses writes on the standby', async () => {
    await expect(query(standby.url(), 'create table more (id int)')).rejects.toThrow('read-only transaction')
  })

  it('stops at once, however often it is asked, and leaves no process and no open port', async () => {
    const pids = await Promise.all([primary, standby].map(postmasterPid))
    await Promise.all([primary.stop(), standby.stop(), primary.stop()])
    await primary.stop()
    expect(await Promise.all(pids.map(isRunning))).toEqual([false, false])
    expect(await Promise.all([primary.port, standby.port].map(accepts))).toEqual([false, false])
  })

  it('starts again on the same folders', async () => {
    const again = await startPrimaryWithStandby({ dir: join(folder, 'pair'), settings: FAST_SETTINGS })
    try {
      expect(await query(again.standby.url(), 'select text from notes')).toEqual([{ text: 'hello' }])
    } finally {
      await Promise.all([again.primary.stop(), again.standby.stop()])
    }
  })
})

describe('a cluster', () => {
  it('stops although a transaction is open', async () => {
    const cluster = await startCluster({ dir: join(folder, 'busy'), settings: FAST_SETTINGS })
    await withClient(cluster.url(), async (client) => {
      client.on('error', () => undefined)
      await client.query('begin')
      await cluster.stop()
    })
    expect(await accepts(cluster.port)).toBe(false)
  })

  it('says what its log says where it cannot start', async () => {
    const dir = join(folder, 'broken')
    await expect(startCluster({ dir, settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /did not start in .*broken[\s\S]*invalid value for parameter "shared_buffers"/,
    )
  })

  it('does not take a port that somebody else has', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    try {
      await expect(startCluster({ dir: join(folder, 'taken'), port })).rejects.toThrow('Address already in use')
    } finally {
      server.close()
    }
  })

  it.runIf(process.getuid?.() === 0)('says which folder keeps the account of the server out', async () => {
    const closed = join(folder, 'closed')
    await mkdir(closed)
    await chmod(closed, 0o700)
    const account = await postgresAccount()
    await expect(startCluster({ dir: join(closed, 'data') })).rejects.toThrow(
      `user id ${account?.uid}, which may not enter ${closed}`,
    )
  })

  it.each(['SIGKILL', 'SIGINT', 'process.exit()'])('ends with its process: %s', async (end) => {
    const dir = join(folder, `orphan-${end}`)
    const module = fileURLToPath(new URL('../../../lib/testing/postgres/cluster.ts', import.meta.url))
    const code = `
      const { startCluster } = await import(${JSON.stringify(module)})
      const { port } = await startCluster({ dir: ${JSON.stringify(dir)}, settings: ${JSON.stringify(FAST_SETTINGS)} })
      process.stdout.write(String(port))
      process.stdin.resume().once('data', () => process.exit())`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'inherit'] })
    const [port] = await once(parent.stdout, 'data')
    const pid = await postmasterPid({ dir })
    const exited = once(parent, 'exit')
    if (end === 'process.exit()') parent.stdin.write('now')
    else parent.kill(end as NodeJS.Signals)
    await exited
    await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false)
    expect(await accepts(Number(port))).toBe(false)
  })
})

async function query(url: string, sql: string): Promise<unknown[]> {
  return withClient(url, async (client) => (await client.query(sql)).rows)
}

async function postmasterPid({ dir }: Pick<Cluster, 'dir'>): Promise<number> {
  const [pid] = (await readFile(join(dir, 'postmaster.pid'), 'utf8')).split('\n')
  return Number(pid)
}

/** A zombie that nobody has reaped yet is not running any more, though a signal would still find it. */
async function isRunning(pid: number): Promise<boolean> {
  const state = await run('ps', ['-o', 'stat=', '-p', String(pid)]).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  )
  return state !== '' && !state.startsWith('Z')
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const answer = await Promise.race([
    once(socket, 'connect').then(
      () => true,
      () => false,
    ),
    sleep(5000, true, { ref: false }),
  ])
  socket.destroy()
  return answer
}
