import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { proxyTransfers, type TransferProxy } from '../support/transfer-proxy.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const PROGRAM = fileURLToPath(new URL('../../lib/cli/geo.ts', import.meta.url))
const CONFIG = fileURLToPath(new URL('../../fixtures/widget-app/geo.config.ts', import.meta.url))
// A machine under load takes long to begin a process.
const TIMEOUT_MS = 40_000

describe('A site whose web process says work: false', { timeout: 120_000 }, () => {
  let sites: TwoSites
  let proxy: TransferProxy
  const workers: ChildProcess[] = []

  beforeAll(async () => {
    sites = await startTwoSites({
      flags: { widgets: true, gadgets: false },
      secondaryEnvironment: { WORK: 'false' },
      between: async (primaryUrl) => {
        proxy = await proxyTransfers(primaryUrl)
        return proxy.url
      },
    })
  })
  afterAll(async () => {
    await sites?.stop()
    await proxy?.close()
  })
  afterEach(() => {
    proxy.release()
    for (const worker of workers.splice(0)) worker.kill('SIGKILL')
  })

  const leases = () => sites.databases.tracking('geo_leases')

  /** `geo work`, as soon as it works. */
  async function startWorker(): Promise<{ worker: ChildProcess; said: () => string; ended: Promise<unknown[]> }> {
    const { environment } = sites.secondary
    const env = { ...process.env, ...environment }
    const worker = spawn(process.execPath, [PROGRAM, 'work', '--config', CONFIG], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    workers.push(worker)
    let said = ''
    for (const output of [worker.stdout, worker.stderr]) {
      output.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
    }
    const ended = once(worker, 'exit')
    await until(
      () => said.includes('works for'),
      TIMEOUT_MS,
      () => `the worker to begin: ${said}`,
    )
    return { worker, said: () => said, ended }
  }

  it('serves and does no work, and geo work does it', async () => {
    await sites.upload('widgets', 'a.txt', 'bytes')
    // Longer than any loop that looks for work rests.
    const endMs = performance.now() + 1500
    await until(async () => {
      expect(await leases()).toEqual([])
      expect(await sites.databases.tracking('widget_registry')).toEqual([])
      return performance.now() > endMs
    })
    expect((await sites.health(sites.secondary)).status).toBe('healthy')

    const { worker, ended } = await startWorker()
    await sites.untilVerified({ widgets: 1, gadgets: 0 })
    worker.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(await leases()).toEqual([])
  })

  it('geo work drains on the first signal, and on a second one stops at once and gives back what it had claimed', async () => {
    const { worker, said, ended } = await startWorker()
    proxy.hold()
    await sites.upload('widgets', 'b.txt', 'more bytes')
    await until(() => proxy.open === 1, TIMEOUT_MS)
    worker.kill('SIGINT')
    await until(() => said().includes('waits for what runs'), TIMEOUT_MS)
    expect(proxy.open).toBe(1)
    expect(worker.exitCode).toBeNull()
    // The same signal twice in a moment, as npx passes it on, is one.
    worker.kill('SIGINT')
    const endMs = performance.now() + 700
    await until(() => performance.now() > endMs)
    expect(worker.exitCode).toBeNull()

    worker.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    expect(await leases()).toEqual([])
    expect(await sites.databases.tracking('widget_registry').where({ retry_count: 0 })).toHaveLength(2)
  })
})
