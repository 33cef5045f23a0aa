import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { deliveries, type LeaseSamples, recordDeliveries, sampleLeases } from './deliveries.ts'
import { proxyTransfers, type TransferProxy } from './transfer-proxy.ts'
import { SECONDARY, startTwoSites, type TwoSites } from './two-sites.ts'
import { until } from './until.ts'
import { killWorkers, startWorker, type WorkerProcess } from './worker-processes.ts'

const ROWS_PER_INSERT = 5000

/** Several processes of one secondary, and a primary behind a proxy that counts. Nobody works before `start`. */
export interface ManyWorkers {
  readonly sites: TwoSites
  readonly proxy: TransferProxy
  /** Rows of widgets with a small file each, found by reconciliation. Returns their keys. */
  addRows(count: number): Promise<string[]>
  /** More processes; resolves when they work. */
  start(count: number): Promise<readonly WorkerProcess[]>
  untilSynced(count: number, timeoutMs: number): Promise<void>
  /** What has come of it: how often rows became synced, and the most leases at once. */
  outcome(): Promise<{ deliveries: Awaited<ReturnType<typeof deliveries>>; leases: LeaseSamples }>
  close(): Promise<void>
}

export async function createManyWorkers({ capacity }: { capacity: number }): Promise<ManyWorkers> {
  let proxy: TransferProxy | undefined
  const sites = await startTwoSites({
    flags: { widgets: true, gadgets: false },
    secondaryEnvironment: { WORK: 'false' },
    between: async (primaryUrl) => {
      proxy = await proxyTransfers(primaryUrl)
      return proxy.url
    },
  })
  if (!proxy) throw new Error('The sites were started without the proxy between them')
  const { main, tracking } = sites.databases
  const workers: WorkerProcess[] = []
  let added = 0
  await main('geo_nodes').where({ name: SECONDARY }).update({ files_max_capacity: capacity })
  await recordDeliveries(tracking)
  let leases: LeaseSamples | null = null
  const sampled = sampleLeases(tracking)

  return {
    sites,
    proxy,
    async addRows(count) {
      const folder = join(sites.primary.blobsDir, 'small')
      await mkdir(folder, { recursive: true })
      const ids: string[] = []
      for (let from = 0; from < count; from += ROWS_PER_INSERT) {
        const names = Array.from({ length: Math.min(ROWS_PER_INSERT, count - from) }, () => `${added++}`)
        await Promise.all(names.map((name) => writeFile(join(folder, name), `number ${name}\n`)))
        const rows = names.map((name) => ({ name, file_path: `small/${name}` }))
        const inserted: { id: string }[] = await main('widgets').insert(rows).returning('id')
        ids.push(...inserted.map((row) => String(row.id)))
      }
      return ids
    },
    async start(count) {
      const started = await Promise.all(Array.from({ length: count }, () => startWorker(sites.secondary)))
      workers.push(...started)
      return started
    },
    async untilSynced(count, timeoutMs) {
      const synced = async () =>
        Number((await tracking('widget_registry').where({ state: SYNC_STATE.synced }).count('id as n').first())?.['n'])
      const states = async () =>
        JSON.stringify(
          await tracking('widget_registry')
            .select('state', 'error_code')
            .count('id as n')
            .groupBy('state', 'error_code'),
        )
      await until(
        async () => (await synced()) === count,
        timeoutMs,
        async () => `all rows to be synced: ${await states()}`,
      )
    },
    async outcome() {
      leases ??= await sampled()
      return { deliveries: await deliveries(tracking), leases }
    },
    async close() {
      await killWorkers(workers)
      leases ??= await sampled()
      await sites.stop()
      await proxy?.close()
    },
  }
}
