import type { Replicable } from '../../blob/replicable.ts'
import { messageOf } from '../../errors.ts'
import type { LoggerLike } from '../../log.ts'
import type { SiteStatus } from '../status/fields.ts'
import { ownStatusOf, type StatusSources, statusesOf } from '../status/read.ts'
import { progressGauges, SITE_GAUGES, STATUS_FAILED, type StatusGauge, typeGauges } from './catalogue.ts'
import type { MetricSet, MetricSource } from './metric-set.ts'

export interface StatusMetricsContext extends StatusSources {
  readonly settings: { readonly replicables: readonly Replicable[]; readonly logger: LoggerLike }
}

/**
 * The gauges of GB.I: a secondary shows itself, the primary itself and every secondary; disabled sites are left out. The values
 * are those that the metrics job left, so a scrape costs a few statements however many types, sites and rows there are.
 */
export class StatusMetrics implements MetricSource {
  readonly #context: StatusMetricsContext

  constructor(context: StatusMetricsContext) {
    this.#context = context
  }

  declareIn(set: MetricSet): void {
    const ofTypes = this.#context.settings.replicables.flatMap(({ names }) => [
      ...typeGauges(names),
      ...progressGauges(names),
    ])
    for (const gauge of [...SITE_GAUGES, ...ofTypes, STATUS_FAILED]) set.declare(gauge, { collected: true })
  }

  async collect(set: MetricSet): Promise<void> {
    const { databases, sites, settings } = this.#context
    try {
      await sites.ensureFresh()
      const { me } = sites
      if (!me) return
      const shown = (me.primary ? sites.all : [me]).filter(({ enabled }) => enabled)
      const own = await ownStatusOf(this.#context)
      const statuses = await statusesOf(this.#context, shown, { own })
      for (const site of shown) {
        const status = statuses.get(site.id)
        if (status) this.#show(set, { name: site.name, url: site.name }, status)
      }
      if (me.primary || !me.enabled || !databases.tracking) return
      set.record(STATUS_FAILED, { name: me.name, url: me.name }, own?.reportsFailedTotal ?? 0)
    } catch (reason) {
      // What this process counts itself is still told; that nothing is told of the sites says the rest.
      settings.logger.warn({ error: messageOf(reason) }, 'The status of the sites could not be read for a scrape')
    }
  }

  #show(set: MetricSet, labels: { name: string; url: string }, status: SiteStatus): void {
    const show = (gauge: StatusGauge, values: Readonly<Record<string, unknown>>) => {
      const value = sample(gauge, values)
      if (value !== null) set.record(gauge, labels, value)
    }
    for (const gauge of SITE_GAUGES) show(gauge, status)
    for (const { names } of this.#context.settings.replicables) {
      for (const gauge of typeGauges(names)) show(gauge, status)
      for (const gauge of progressGauges(names)) show(gauge, status.progress[names.plural] ?? {})
    }
  }
}

/** Nulls and texts are skipped, and moments that never were: the status shows those as 0. */
function sample({ field }: StatusGauge, values: Readonly<Record<string, unknown>>): number | null {
  const value = values[field]
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value !== 'number' || (value === 0 && field.endsWith('_timestamp'))) return null
  return value
}
