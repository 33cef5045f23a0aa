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
import { ALERT_RULES, alertRules } from '../support/docs/alert-rules.ts'
import { dashboardExpressions } from '../support/docs/dashboard.ts'
import { hasPromtool, promtool } from '../support/promtool.ts'

type Series = Readonly<Record<string, string>>

const SITE = '{name="paris",url="paris"}'
/** What fires each alert, and the last moment at which it does not: series by the minute, and then the labels of the alert. */
const FIRING: Readonly<Record<string, { series: Series; at: string; quietAt: string; type?: string; process?: true }>> =
  {
    GeoSiteOffline: {
      series: { [`geo_last_successful_status_check_timestamp${SITE}`]: '0x20' },
      at: '3m',
      quietAt: '1m',
    },
    GeoSiteUnhealthy: { series: { [`geo_site_healthy${SITE}`]: '0x20' }, at: '6m', quietAt: '4m' },
    GeoCorruptOnPrimary: {
      series: { [`geo_widgets_corrupt${SITE}`]: '2x20' },
      at: '2m',
      quietAt: '0m',
      type: 'widgets',
    },
    GeoSyncFailing: {
      series: { [`geo_widgets_failed${SITE}`]: '3x90', [`geo_gadgets_failed${SITE}`]: '0x90' },
      at: '61m',
      quietAt: '59m',
      type: 'widgets',
    },
    GeoVerificationFailing: {
      series: { [`geo_widgets_verification_failed${SITE}`]: '3x90' },
      at: '61m',
      quietAt: '59m',
      type: 'widgets',
    },
    GeoChecksumFailing: {
      series: { [`geo_widgets_checksum_failed${SITE}`]: '3x90' },
      at: '61m',
      quietAt: '59m',
      type: 'widgets',
    },
    GeoFallingBehind: {
      series: { [`geo_widgets_oldest_unsynced_seconds${SITE}`]: '3700x30' },
      at: '11m',
      quietAt: '9m',
      type: 'widgets',
    },
    GeoReplicaBehind: { series: { [`geo_db_replication_lag_seconds${SITE}`]: '400x20' }, at: '6m', quietAt: '4m' },
    GeoReplicationSlotUnused: {
      series: { [`geo_replication_slots${SITE}`]: '2x20', [`geo_replication_slots_used${SITE}`]: '1x20' },
      at: '11m',
      quietAt: '9m',
    },
    GeoReplicationSlotRetainsWal: {
      series: { [`geo_replication_slots_max_retained_wal_bytes${SITE}`]: '20000000000x20' },
      at: '6m',
      quietAt: '4m',
    },
    GeoEventsUnread: {
      series: {
        [`geo_cursor_last_event_timestamp${SITE}`]: '0x40',
        [`geo_last_event_id${SITE}`]: '9x40',
        [`geo_cursor_last_event_id${SITE}`]: '8x40',
      },
      at: '22m',
      quietAt: '19m',
    },
    GeoClockSkewed: { series: { [`geo_clock_skew_seconds${SITE}`]: '-50x20' }, at: '3m', quietAt: '1m' },
    GeoStatusNotSent: { series: { [`geo_status_failed_total${SITE}`]: '0+1x20' }, at: '12m', quietAt: '2m' },
    GeoTransfersPaused: {
      series: {
        'geo_transfers_paused{name="paris",instance="a"}': '1x20',
        'geo_transfers_paused{name="paris",instance="b"}': '0x20',
      },
      at: '11m',
      quietAt: '9m',
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

  it('fire each, when what they tell of has lasted, and not before', async () => {
    expect(Object.keys(FIRING).toSorted()).toEqual(ALERT_RULES.map(({ alert }) => alert).toSorted())
    const tests = ALERT_RULES.map(({ alert, severity }) => {
      const firing = FIRING[alert]
      if (!firing) throw new Error(`No example fires ${alert}`)
      const labels = {
        name: 'paris',
        ...(!firing.process && { url: 'paris' }),
        ...(firing.type && { type: firing.type }),
      }
      return {
        interval: '1m',
        input_series: Object.entries(firing.series).map(([series, values]) => ({ series, values })),
        // Annotations are texts for people; that they can be rendered is asked by the rules' check.
        promql_expr_test: [firing.quietAt, firing.at].map((at) => ({
          expr: `count by (severity, name, type, url) (ALERTS{alertname="${alert}", alertstate="firing"})`,
          eval_time: at,
          exp_samples: at === firing.at ? [{ labels: labelsOf({ ...labels, severity }), value: 1 }] : [],
        })),
      }
    })
    const file = join(folder, 'test.yaml')
    await writeFile(file, JSON.stringify({ rule_files: ['alerts.yaml'], evaluation_interval: '30s', tests }))
    const { code, output } = await promtool(['test', 'rules', file])
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
