import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { ConfigurationError, messageOf } from '../../errors.ts'
import type { Metric } from './catalogue.ts'

/** What writes the values of gauges when the registry is scraped. Never rejects. */
export interface MetricSource {
  collect(set: MetricSet): Promise<void>
}

type Labels = Readonly<Record<string, string>>

const sets = new WeakMap<Registry, MetricSet>()

/** The metrics of a registry that are ours. Several instances of the SDK in one process share a registry, and then these. */
export class MetricSet {
  readonly #registry: Registry
  readonly #metrics = new Map<string, Counter | Gauge | Histogram>()
  /** Those whose values are written anew for each scrape. */
  readonly #collected = new Set<string>()
  readonly #sources = new Set<MetricSource>()
  #collecting: Promise<void> | null = null

  private constructor(registry: Registry) {
    this.#registry = registry
  }

  static of(registry: Registry): MetricSet {
    const set = sets.get(registry) ?? new MetricSet(registry)
    sets.set(registry, set)
    return set
  }

  /** Returns what ends it. */
  addSource(source: MetricSource): () => void {
    this.#sources.add(source)
    return () => void this.#sources.delete(source)
  }

  /** @throws ConfigurationError `INVALID_OPTIONS` where the host has a metric of that name in the registry */
  declare(metric: Metric, { collected = false }: { collected?: boolean } = {}): void {
    if (this.#metrics.has(metric.name)) return
    const { name, help, labels, buckets } = metric
    const common = { name, help, labelNames: [...labels], registers: [this.#registry] }
    // A scrape asks all metrics at once: the first of them asks the sources, the others wait with it.
    const configuration = collected ? { ...common, collect: () => this.#collect() } : common
    if (collected) this.#collected.add(name)
    try {
      if (metric.kind === 'histogram')
        this.#metrics.set(name, new Histogram({ ...configuration, buckets: [...(buckets ?? [])] }))
      else this.#metrics.set(name, metric.kind === 'counter' ? new Counter(configuration) : new Gauge(configuration))
    } catch (reason) {
      throw new ConfigurationError('INVALID_OPTIONS', `createGeo: metrics.registry: ${messageOf(reason)}`)
    }
  }

  /** Adds to a counter, sets a gauge, or observes in a histogram. */
  record({ name }: Pick<Metric, 'name'>, labels: Labels, value: number): void {
    const metric = this.#metrics.get(name)
    if (metric instanceof Counter) metric.inc(labels, value)
    else if (metric instanceof Gauge) metric.set(labels, value)
    else metric?.observe(labels, value)
  }

  #collect(): Promise<void> {
    this.#collecting ??= this.#collectAnew().finally(() => {
      this.#collecting = null
    })
    return this.#collecting
  }

  async #collectAnew(): Promise<void> {
    for (const name of this.#collected) this.#metrics.get(name)?.reset()
    await Promise.all([...this.#sources].map((source) => source.collect(this)))
  }
}
