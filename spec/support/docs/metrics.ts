import type { Replicable } from '../../../lib/blob/replicable.ts'
import {
  type Metric,
  PROCESS_METRICS,
  progressGauges,
  SITE_GAUGES,
  STATUS_FAILED,
  typeGauges,
} from '../../../lib/view/metrics/catalogue.ts'
import { page, table } from './markdown.ts'

function metricTable(metrics: readonly Metric[]): string {
  const rows = metrics.map(({ name, kind, labels, help }) => [
    `\`${name}\``,
    kind,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ])
  return table(['metric', 'kind', 'labels', 'meaning'], rows)
}

export function metricsPage(types: readonly Pick<Replicable, 'name' | 'names'>[]): string {
  return page(
    'Metrics for Prometheus',
    '`GET /metrics` in `geo.router`, or alone in `geo.routers.metrics`, where `createGeo` got the option `metrics`: for whoever `authorize` lets `read_geo`, or sends its `token` as `Authorization: Bearer`. A secondary shows itself, the primary itself and every secondary; disabled sites are left out. Beside this page lie alert rules (`alerts.yaml`) and a dashboard for Grafana (`dashboard.json`).',
    '## Of each site',
    'What the metrics job of the site gathered last: a scrape counts nothing. What does not apply to the role of a site, or is not known, has no sample. `name` and `url` are both the name of the site.',
    metricTable([...SITE_GAUGES, STATUS_FAILED]),
    '## Of each type',
    'They begin with the plural of its name; here those of the types that the reference host declares. None while its flag is off.',
    ...types.flatMap(({ name, names }) => [
      `### \`${name}\``,
      metricTable([...typeGauges(names), ...progressGauges(names)]),
    ]),
    '## Of the process that is scraped',
    'What it has done since it began. `name` is the name of its site: scrape every process, and sum.',
    metricTable(Object.values(PROCESS_METRICS)),
  )
}
