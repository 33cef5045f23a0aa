import { PROCESS_METRICS as M, SITE_GAUGES } from '../../../lib/view/metrics/catalogue.ts'
import { ofTypes } from './alert-rules.ts'

interface Panel {
  readonly title: string
  readonly description: string
  readonly unit: string
  readonly targets: readonly { readonly expr: string; readonly legend: string }[]
}

const OF_SITES = ', name=~"$name"'
const gauge = (suffix: string) => ofTypes(suffix, OF_SITES)
const BY_TYPE = '{{name}} {{type}}'
const share = (part: string, whole: string) => `${gauge(part)} / on (name, type) ${gauge(whole)}`
const rate = (metric: string, by: string) => `sum by (${by}) (rate(${metric}{name=~"$name"}[$__rate_interval]))`
const quantile = (q: number, metric: string) =>
  `histogram_quantile(${q}, sum by (le, name, type) (rate(${metric}_bucket{name=~"$name"}[$__rate_interval])))`

function quantiles(metric: { readonly name: string; readonly help: string }, title: string): Panel {
  const targets = [0.5, 0.99].map((q) => ({ expr: quantile(q, metric.name), legend: `p${q * 100} ${BY_TYPE}` }))
  return { title, description: metric.help, unit: 's', targets }
}

const OWN_PANELS: readonly Panel[] = [
  {
    title: 'Synced',
    description: 'Share of the registry whose file is on the secondary',
    unit: 'percentunit',
    targets: [{ expr: share('synced', 'registry'), legend: BY_TYPE }],
  },
  {
    title: 'Verified',
    description: 'Share of what can be verified that is',
    unit: 'percentunit',
    targets: [{ expr: share('verified', 'verification_total'), legend: BY_TYPE }],
  },
  {
    title: 'Failed',
    description: 'Blobs whose last attempt failed, on the secondary and on the primary',
    unit: 'short',
    targets: ['failed', 'corrupt'].map((suffix) => ({ expr: gauge(suffix), legend: `${suffix} ${BY_TYPE}` })),
  },
  {
    title: 'Still to come',
    description: 'Bytes that the secondary lacks, as far as known',
    unit: 'bytes',
    targets: [{ expr: gauge('pending_bytes'), legend: BY_TYPE }],
  },
  {
    title: 'Remaining time',
    description: 'Until all is verified, at the pace of the last minutes',
    unit: 's',
    targets: [{ expr: gauge('remaining_seconds'), legend: BY_TYPE }],
  },
  {
    title: 'Oldest that is not there',
    description: 'How long the oldest blob has waited',
    unit: 's',
    targets: [{ expr: gauge('oldest_unsynced_seconds'), legend: BY_TYPE }],
  },
  quantiles(M.lag, 'Lag from commit to verified'),
  quantiles(M.queueWait, 'Wait for a first attempt'),
  quantiles(M.syncSeconds, 'Seconds to fetch'),
  quantiles(M.verificationSeconds, 'Seconds to verify'),
  {
    title: 'Blobs a second',
    description: M.synced.help,
    unit: 'ops',
    targets: [{ expr: rate(M.synced.name, 'name, type'), legend: BY_TYPE }],
  },
  {
    title: 'Bytes a second',
    description: M.receivedBytes.help,
    unit: 'Bps',
    targets: [{ expr: rate(M.receivedBytes.name, 'name, type'), legend: BY_TYPE }],
  },
  {
    title: 'Transfers a second',
    description: M.transfers.help,
    unit: 'ops',
    targets: [{ expr: rate(M.transfers.name, 'name, outcome'), legend: '{{name}} {{outcome}}' }],
  },
  {
    title: 'Failures a second',
    description: M.failures.help,
    unit: 'ops',
    targets: [{ expr: rate(M.failures.name, 'name, during, code'), legend: '{{name}} {{during}} {{code}}' }],
  },
  {
    title: 'Threads',
    description: M.threadUtilization.help,
    unit: 'percentunit',
    targets: [
      { expr: `avg by (name, pool) (${M.threadUtilization.name}{name=~"$name"})`, legend: '{{name}} {{pool}}' },
    ],
  },
]

const unitOf = (name: string) => (name.endsWith('_bytes') ? 'bytes' : name.endsWith('_seconds') ? 's' : 'short')

/** The numbers of the sites as they are; moments as how long ago they were. */
const SITE_PANELS: readonly Panel[] = SITE_GAUGES.map(({ name, help }) => {
  const selected = `${name}{name=~"$name"}`
  const isMoment = name.endsWith('_timestamp')
  const expr = isMoment ? `time() - ${selected}` : selected
  const title = name.replace(/^geo_/, '').replaceAll('_', ' ')
  return { title, description: help, unit: isMoment ? 's' : unitOf(name), targets: [{ expr, legend: '{{name}}' }] }
})

const datasource = { type: 'prometheus', uid: '$datasource' }
const [WIDTH, HEIGHT, PER_ROW] = [8, 8, 3]

/** A dashboard to be imported into Grafana; it asks for the data source. */
export function dashboard(): string {
  const panels = [...OWN_PANELS, ...SITE_PANELS].map(({ title, description, unit, targets }, position) => ({
    id: position + 1,
    type: 'timeseries',
    title,
    description,
    datasource,
    gridPos: {
      x: (position % PER_ROW) * WIDTH,
      y: Math.floor(position / PER_ROW) * HEIGHT,
      w: WIDTH,
      h: HEIGHT,
    },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: targets.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource,
      expr,
      legendFormat: legend,
    })),
  }))
  const variables = [
    { name: 'datasource', type: 'datasource', query: 'prometheus' },
    {
      name: 'name',
      label: 'site',
      type: 'query',
      datasource,
      query: 'label_values(geo_site_healthy, name)',
      multi: true,
      includeAll: true,
      refresh: 2,
    },
  ]
  const shown = {
    uid: 'express-geo-replication',
    title: 'Geo replication',
    schemaVersion: 39,
    time: { from: 'now-6h', to: 'now' },
    templating: { list: variables },
    panels,
  }
  return `${JSON.stringify(shown, null, 2)}\n`
}

/** Every expression, with what Grafana puts in for its variables. */
export function dashboardExpressions(): string[] {
  return [...OWN_PANELS, ...SITE_PANELS].flatMap(({ targets }) =>
    targets.map(({ expr }) => expr.replaceAll('$name', '.*').replaceAll('$__rate_interval', '5m')),
  )
}
