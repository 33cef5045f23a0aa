/** How busy a pool of worker threads is. */
export interface PoolLoad {
  readonly threads: number
  readonly queued: number
  /** The share of their life that its threads have worked, in [0, 1]. */
  readonly utilization: number
}

/** What is asked of a pool of piscina, whose own declarations no host has to compile. */
export interface PoolLike {
  readonly threads: readonly unknown[]
  readonly queueSize: number
  readonly utilization: number
}

export function loadOf(pool: PoolLike): PoolLoad {
  const { threads, queueSize, utilization } = pool
  const share = Number.isFinite(utilization) ? Math.min(Math.max(utilization, 0), 1) : 0
  return { threads: threads.length, queued: queueSize, utilization: share }
}
