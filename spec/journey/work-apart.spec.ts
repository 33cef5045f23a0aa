import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BACKGROUND_NICE } from '../../lib/background-priority.ts'
import { niceValues } from '../support/nice-values.ts'
import { proxyTransfers, type TransferProxy } from '../support/transfer-proxy.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'
import { killWorkers, startWorker, type WorkerProcess } from '../support/worker-processes.ts'

// A machine under load takes long to begin a process.
const TIMEOUT_MS = 40_000

describe('A site whose web process says work: false', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let proxy: TransferProxy
  const workers: WorkerProcess[] = []

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
  afterEach(async () => {
    proxy.release()
    await killWorkers(workers.splice(0))
  })

  const leases = () => sites.databases.tracking('geo_leases')

  async function worker(more: readonly string[] = []): Promise<WorkerProcess> {
    const started = await startWorker(sites.secondary, more)
    workers.push(started)
    return started
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

    const { child, ended } = await worker()
    await sites.untilVerified({ widgets: 1, gadgets: 0 })
    if (process.platform === 'linux') {
      expect(new Set(await niceValues(child.pid ?? 0))).toEqual(new Set([BACKGROUND_NICE]))
    }
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(await leases()).toEqual([])
  })

  it.runIf(process.platform === 'linux')('geo work stands back for no one where it is told not to', async () => {
    const { child } = await worker(['--full-priority'])
    const [main] = await niceValues(child.pid ?? 0)
    expect(main).toBe(0)
  })

  it('geo work drains on the first signal, and on a second one stops at once and gives back what it had claimed', async () => {
    const { child, said, ended } = await worker()
    proxy.hold()
    await sites.upload('widgets', 'b.txt', 'more bytes')
    await until(() => proxy.open === 1, TIMEOUT_MS)
    child.kill('SIGINT')
    await until(() => said().includes('waits for what runs'), TIMEOUT_MS)
    expect(proxy.open).toBe(1)
    expect(child.exitCode).toBeNull()
    // The same signal twice in a moment, as npx passes it on, is one.
    child.kill('SIGINT')
    const endMs = performance.now() + 700
    await until(() => performance.now() > endMs)
    expect(child.exitCode).toBeNull()

    child.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    expect(await leases()).toEqual([])
    expect(await sites.databases.tracking('widget_registry').where({ retry_count: 0 })).toHaveLength(2)
  })

  it.runIf(process.platform === 'linux')(
    'what a killed worker held goes to another of its host before its lease ends',
    async () => {
      const { child, ended } = await worker()
      proxy.hold()
      await sites.upload('widgets', 'c.txt', 'the last bytes')
      await until(() => proxy.open === 1, TIMEOUT_MS)
      const held = () => leases().where({ holder_pid: child.pid })
      expect(await held().whereNotNull('replicable_name')).not.toEqual([])
      await worker()
      child.kill('SIGKILL')
      await ended
      proxy.release()
      // By its time it would hold them until long after this spec.
      await held().update({ expires_at: sites.databases.tracking.raw("clock_timestamp() + interval '1 hour'") })
      await sites.untilVerified({ widgets: 3, gadgets: 0 })
      expect(await held()).toEqual([])
    },
  )
})
