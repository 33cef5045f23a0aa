import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveNames } from '../../lib/blob/names.ts'
import {
  PROCESS_METRICS,
  progressGauges,
  SITE_GAUGES,
  STATUS_FAILED,
  typeGauges,
} from '../../lib/view/metrics/catalogue.ts'
import { ALERT_RULES, alertRules, rulesFile } from '../support/docs/alert-rules.ts'
import { dashboardExpressions } from '../support/docs/dashboard.ts'
import { hasPromtool, promtool } from '../support/promtool.ts'

type Series = Readonly<Record<string, string>>

const SITE = '{name="paris",url="paris"}'
const of = (gauge: string, values: string): Series => ({ [`${gauge}${SITE}`]: values })

interface Firing {
  /** By the minute, just beyond the threshold. */
  readonly series: Series
  /** The first moment at which it fires, and the last look before, at which it does not yet. */
  readonly at: string
  readonly quietAt: string
  /** Just at the threshold: it never fires. */
  readonly edges: readonly Series[]
  readonly type?: string
  readonly process?: true
}

const FIRING: Readonly<Record<string, Firing>> = {
  GeoSiteOffline: {
    series: of('geo_last_successful_status_check_timestamp', '0x20'),
    at: '2m5s',
    quietAt: '2m',
    // One that reports every minute.
    edges: [of('geo_last_successful_status_check_timestamp', '0+60x20')],
  },
  GeoSiteUnhealthy: {
    series: of('geo_site_healthy', '0x20'),
    at: '5m',
    quietAt: '4m55s',
    edges: [of('geo_site_healthy', '1x20')],
  },
  GeoCorruptOnPrimary: {
    series: of('geo_widgets_corrupt', '1x20'),
    at: '1m',
    quietAt: '55s',
    edges: [of('geo_widgets_corrupt', '0x20')],
    type: 'widgets',
  },
  GeoSyncFailing: {
    series: { ...of('geo_widgets_failed', '1x90'), ...of('geo_gadgets_failed', '0x90') },
    at: '60m',
    quietAt: '59m55s',
    edges: [
      of('geo_widgets_failed', '0x90'),
      { ...of('geo_widgets_checksum_failed', '1x90'), ...of('geo_widgets_verification_failed', '1x90') },
    ],
    type: 'widgets',
  },
  GeoVerificationFailing: {
    series: of('geo_widgets_verification_failed', '1x90'),
    at: '60m',
    quietAt: '59m55s',
    edges: [of('geo_widgets_verification_failed', '0x90')],
    type: 'widgets',
  },
  GeoChecksumFailing: {
    series: of('geo_widgets_checksum_failed', '1x90'),
    at: '60m',
    quietAt: '59m55s',
    edges: [of('geo_widgets_checksum_failed', '0x90')],
    type: 'widgets',
  },
  GeoFallingBehind: {
    series: of('geo_widgets_oldest_unsynced_seconds', '3601x30'),
    at: '10m',
    quietAt: '9m55s',
    edges: [of('geo_widgets_oldest_unsynced_seconds', '3600x30')],
    type: 'widgets',
  },
  GeoReplicaBehind: {
    series: of('geo_db_replication_lag_seconds', '301x20'),
    at: '5m',
    quietAt: '4m55s',
    edges: [of('geo_db_replication_lag_seconds', '300x20')],
  },
  GeoReplicationSlotUnused: {
    series: { ...of('geo_replication_slots', '2x20'), ...of('geo_replication_slots_used', '1x20') },
    at: '10m',
    quietAt: '9m55s',
    edges: [{ ...of('geo_replication_slots', '2x20'), ...of('geo_replication_slots_used', '2x20') }],
  },
  GeoReplicationSlotRetainsWal: {
    series: of('geo_replication_slots_max_retained_wal_bytes', `${10 * 2 ** 30 + 1}x20`),
    at: '5m',
    quietAt: '4m55s',
    edges: [of('geo_replication_slots_max_retained_wal_bytes', `${10 * 2 ** 30}x20`)],
  },
  GeoEventsUnread: {
    series: {
      ...of('geo_cursor_last_event_timestamp', '0x40'),
      ...of('geo_last_event_id', '9x40'),
      ...of('geo_cursor_last_event_id', '8x40'),
    },
    at: '20m5s',
    quietAt: '20m',
    // However old the last event is: none waits.
    edges: [
      {
        ...of('geo_cursor_last_event_timestamp', '0x40'),
        ...of('geo_last_event_id', '9x40'),
        ...of('geo_cursor_last_event_id', '9x40'),
      },
    ],
  },
  GeoClockSkewed: {
    series: of('geo_clock_skew_seconds', '-46x20'),
    at: '2m',
    quietAt: '1m55s',
    edges: [of('geo_clock_skew_seconds', '45x20'), of('geo_clock_skew_seconds', '-45x20')],
  },
  GeoStatusNotSent: {
    series: of('geo_status_failed_total', '0+0.6x20'),
    at: '12m',
    quietAt: '2m',
    edges: [of('geo_status_failed_total', '0+0.5x20')],
  },
  GeoTransfersPaused: {
    series: {
      'geo_transfers_paused{name="paris",instance="a"}': '1x20',
      'geo_transfers_paused{name="paris",instance="b"}': '0x20',
    },
    at: '10m',
    quietAt: '9m55s',
    edges: [{ 'geo_transfers_paused{name="paris",instance="a"}': '0x20' }],
    process: true,
  },
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-rules-'))
  await writeFile(join(folder, 'alerts.yaml'), alertRules())
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe.runIf(hasPromtool)('The alert rules', () => {
  it('are well formed', async () => {
    const { code, output } = await promtool([
      'check',
      'rules',
      '--lint=all',
      '--lint-fatal',
      join(folder, 'alerts.yaml'),
    ])
    expect(code, output).toBe(0)
  })

  it('fire each beyond its threshold, when that has lasted, and neither before nor at the threshold', async () => {
    expect(Object.keys(FIRING).toSorted()).toEqual(ALERT_RULES.map(({ alert }) => alert).toSorted())
    // Each rule in a file of its own: all of them at every step of every example would take long.
    const files: string[] = []
    for (const rule of ALERT_RULES) {
      const { alert, severity } = rule
      const firing = FIRING[alert]
      if (!firing) throw new Error(`No example fires ${alert}`)
      const labels = {
        name: 'paris',
        ...(!firing.process && { url: 'paris' }),
        ...(firing.type && { type: firing.type }),
      }
      const looks = (series: Series, moments: readonly string[], firingAt: string | null) => ({
        interval: '1m',
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        // Annotations are texts for people; that they can be rendered is asked by the rules' check.
        promql_expr_test: moments.map((at) => ({
          expr: `count by (severity, name, type, url) (ALERTS{alertname="${alert}", alertstate="firing"})`,
          eval_time: at,
          exp_samples: at === firingAt ? [{ labels: labelsOf({ ...labels, severity }), value: 1 }] : [],
        })),
      })
      const tests = [
        looks(firing.series, [firing.quietAt, firing.at], firing.at),
        ...firing.edges.map((series) => looks(series, [firing.at], null)),
      ]
      const file = join(folder, `${alert}.test.yaml`)
      await writeFile(join(folder, `${alert}.yaml`), rulesFile([rule]))
      await writeFile(file, JSON.stringify({ rule_files: [`${alert}.yaml`], evaluation_interval: '5s', tests }))
      files.push(file)
    }
    const { code, output } = await promtool(['test', 'rules', ...files])
    expect(code, output).toBe(0)
  })

  it('and the dashboard ask in words that Prometheus understands', async () => {
    const rules = dashboardExpressions().map((expr, position) => ({ record: `dashboard:panel:${position}`, expr }))
    const file = join(folder, 'dashboard.yaml')
    await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
    const { code, output } = await promtool(['check', 'rules', file])
    expect(code, output).toBe(0)
  })
})

it('Rules and dashboard name only metrics that there are', () => {
  const names = deriveNames('widget')
  const known = new Set(
    [
      ...SITE_GAUGES,
      STATUS_FAILED,
      ...typeGauges(names),
      ...progressGauges(names),
      ...Object.values(PROCESS_METRICS),
    ].map(({ name }) => name),
  )
  for (const expr of [...ALERT_RULES.map((rule) => rule.expr), ...dashboardExpressions()]) {
    const named = expr
      .replaceAll(/"geo_\(.+?"/g, '')
      .replaceAll('geo_.+_(checksum|verification)_', 'geo_widgets_checksum_')
      .replaceAll('geo_.+_', 'geo_widgets_')
      .matchAll(/geo_\w+/g)
    for (const [name] of named) expect(known, expr).toContain(name.replace(/_bucket$/, ''))
  }
})

function labelsOf(labels: Readonly<Record<string, string>>): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}}`
}
