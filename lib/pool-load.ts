import type { Piscina } from 'piscina'

/** How busy a pool of worker threads is. */
export interface PoolLoad {
  readonly threads: number
  readonly queued: number
  /** The share of their life that its threads have worked, in [0, 1]. */
  readonly utilization: number
}

export function loadOf(pool: Piscina): PoolLoad {
  const { threads, queueSize, utilization } = pool
  const share = Number.isFinite(utilization) ? Math.min(Math.max(utilization, 0), 1) : 0
  return { threads: threads.length, queued: queueSize, utilization: share }
}
