import type { PoolLoad } from '../../pool-load.ts'
import type { Signals } from '../../signals.ts'
import { PROCESS_METRICS as M } from './catalogue.ts'
import type { MetricSet, MetricSource } from './metric-set.ts'

export interface ProcessMetricsContext {
  readonly siteName: string
  readonly signals: Signals
  leasesHeld(): number
  transferRefusal(): unknown
  pools(): Readonly<Record<'transfer' | 'checksum', PoolLoad>>
}

/** What this process has done or does, told by its signals or asked for at a scrape. Asks no database. */
export class ProcessMetrics implements MetricSource {
  readonly #context: ProcessMetricsContext

  constructor(context: ProcessMetricsContext) {
    this.#context = context
  }

  /** Declares the metrics, and counts from now on. */
  countIn(set: MetricSet): void {
    for (const metric of Object.values(M)) set.declare(metric, { collected: metric.kind === 'gauge' })
    const { siteName: name, signals } = this.#context
    signals.on('transfer:ended', ({ type, outcome }) => set.record(M.transfers, { name, type, outcome }, 1))
    signals.on('blob:started', ({ type, waitedSeconds }) => {
      if (waitedSeconds !== null) set.record(M.queueWait, { name, type }, waitedSeconds)
    })
    signals.on('blob:synced', ({ type, bytes, seconds, fetched }) => {
      set.record(M.synced, { name, type, fetched: String(fetched) }, 1)
      set.record(M.syncSeconds, { name, type }, seconds)
      if (fetched) set.record(M.receivedBytes, { name, type }, bytes)
    })
    signals.on('blob:verified', ({ type, seconds, lagSeconds }) => {
      set.record(M.verificationSeconds, { name, type }, seconds)
      if (lagSeconds !== null) set.record(M.lag, { name, type }, lagSeconds)
    })
    signals.on('blob:failed', ({ type, during, code }) => set.record(M.failures, { name, type, during, code }, 1))
    signals.on('blob:removed', ({ type }) => set.record(M.removed, { name, type }, 1))
  }

  async collect(set: MetricSet): Promise<void> {
    const { siteName: name, leasesHeld, transferRefusal, pools } = this.#context
    set.record(M.paused, { name }, transferRefusal() ? 1 : 0)
    set.record(M.leases, { name }, leasesHeld())
    for (const [pool, load] of Object.entries(pools())) {
      set.record(M.threads, { name, pool }, load.threads)
      set.record(M.threadQueue, { name, pool }, load.queued)
      set.record(M.threadUtilization, { name, pool }, load.utilization)
    }
  }
}
