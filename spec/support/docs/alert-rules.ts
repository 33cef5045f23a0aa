/** The alert rules that are shipped. Types are the host's own, so their gauges are found by the pattern of their names. */
export interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly severity: 'critical' | 'warning'
  readonly summary: string
  readonly description: string
}

/** A gauge of every type, with the plural of the type's name as the label `type`. */
export function ofTypes(suffix: string, selector = ''): string {
  return `label_replace({__name__=~"geo_.+_${suffix}"${selector}}, "type", "$1", "__name__", "geo_(.+)_${suffix}")`
}

/** Sync failures end in `_failed` as those of checksums and of verification do. */
const SYNC_FAILED = `label_replace({__name__=~"geo_.+_failed", __name__!~"geo_.+_(checksum|verification)_failed"}, "type", "$1", "__name__", "geo_(.+)_failed")`

export const ALERT_RULES: readonly AlertRule[] = [
  {
    alert: 'GeoSiteOffline',
    expr: 'time() - geo_last_successful_status_check_timestamp > 90',
    for: '30s',
    severity: 'critical',
    summary: 'The primary does not hear of {{ $labels.name }}',
    description:
      'The last report came {{ $value | humanizeDuration }} ago. Look whether the processes of that site run and reach the primary.',
  },
  {
    alert: 'GeoSiteUnhealthy',
    expr: 'geo_site_healthy == 0',
    for: '5m',
    severity: 'critical',
    summary: '{{ $labels.name }} does not replicate or verify as it should',
    description: 'geo.health() of that site, or its status, says why and what to do.',
  },
  {
    alert: 'GeoCorruptOnPrimary',
    expr: `${ofTypes('corrupt')} > 0`,
    for: '1m',
    severity: 'critical',
    summary: '{{ $value }} of the {{ $labels.type }} on the primary are not as recorded',
    description: 'They are not served. Bring them back with: npx geo repair',
  },
  {
    alert: 'GeoSyncFailing',
    expr: `${SYNC_FAILED} > 0`,
    for: '1h',
    severity: 'warning',
    summary: '{{ $value }} of the {{ $labels.type }} fail to reach {{ $labels.name }}',
    description: 'Retries do not help since an hour. The registry says why, by error_code.',
  },
  {
    alert: 'GeoVerificationFailing',
    expr: `${ofTypes('verification_failed')} > 0`,
    for: '1h',
    severity: 'warning',
    summary: '{{ $value }} of the {{ $labels.type }} on {{ $labels.name }} fail to verify',
    description:
      'They are fetched again by themselves; since an hour this does not help. Check the volume of that site.',
  },
  {
    alert: 'GeoChecksumFailing',
    expr: `${ofTypes('checksum_failed')} > 0`,
    for: '1h',
    severity: 'warning',
    summary: '{{ $value }} of the {{ $labels.type }} have no checksum on the primary',
    description: 'No site can verify them. The verification state of the rows says why.',
  },
  {
    alert: 'GeoFallingBehind',
    expr: `${ofTypes('oldest_unsynced_seconds')} > 3600`,
    for: '10m',
    severity: 'warning',
    summary:
      'The oldest of the {{ $labels.type }} that {{ $labels.name }} lacks waits for {{ $value | humanizeDuration }}',
    description:
      'More may arrive than is fetched: raise files_max_capacity or the bandwidth of that site, or add processes.',
  },
  {
    alert: 'GeoReplicaBehind',
    expr: 'geo_db_replication_lag_seconds > 300',
    for: '5m',
    severity: 'warning',
    summary: 'The replica of {{ $labels.name }} is {{ $value | humanizeDuration }} behind',
    description: 'Check the streaming replication of its main database.',
  },
  {
    alert: 'GeoReplicationSlotUnused',
    expr: 'geo_replication_slots - geo_replication_slots_used > 0',
    for: '10m',
    severity: 'warning',
    summary: '{{ $value }} replication slots of the primary have no connection',
    description: 'They hold WAL back until the disk is full. Bring the replica back, or drop the slot.',
  },
  {
    alert: 'GeoReplicationSlotRetainsWal',
    expr: 'geo_replication_slots_max_retained_wal_bytes > 10 * 1024 ^ 3',
    for: '5m',
    severity: 'warning',
    summary: 'A replication slot of the primary holds {{ $value | humanize1024 }}B of WAL back',
    description: 'Bring its replica back before the disk is full.',
  },
  {
    alert: 'GeoEventsUnread',
    expr: 'time() - geo_cursor_last_event_timestamp > 900 and geo_last_event_id > geo_cursor_last_event_id',
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.name }} does not get on with the event log',
    description:
      'The event that it read last is {{ $value | humanizeDuration }} old and newer ones wait. geo.health() says what holds it.',
  },
  {
    alert: 'GeoClockSkewed',
    expr: 'abs(geo_clock_skew_seconds) > 45',
    for: '2m',
    severity: 'warning',
    summary: "The clock of {{ $labels.name }} is {{ $value }} seconds from the primary's",
    description: 'From a minute on the sites cannot talk. Synchronise the clocks (NTP).',
  },
  {
    alert: 'GeoStatusNotSent',
    expr: 'increase(geo_status_failed_total[10m]) > 5',
    for: '1m',
    severity: 'warning',
    summary: '{{ $labels.name }} cannot report to the primary',
    description: '{{ $value | humanize }} reports failed in ten minutes. Check the way to the primary.',
  },
  {
    alert: 'GeoTransfersPaused',
    expr: 'max by (name) (geo_transfers_paused) > 0',
    for: '10m',
    severity: 'warning',
    summary: '{{ $labels.name }} fetches nothing',
    description: 'The primary cannot be reached, refuses or asks for patience. geo.health() says which.',
  },
]

export function alertRules(): string {
  return rulesFile(ALERT_RULES)
}

/** A file for `rule_files` of Prometheus. A JSON text is a scalar of YAML. */
export function rulesFile(alertRules: readonly AlertRule[]): string {
  const rules = alertRules.map(({ alert, expr, for: lasting, severity, summary, description }) =>
    [
      `      - alert: ${alert}`,
      `        expr: ${JSON.stringify(expr)}`,
      `        for: ${lasting}`,
      '        labels:',
      `          severity: ${severity}`,
      '        annotations:',
      `          summary: ${JSON.stringify(summary)}`,
      `          description: ${JSON.stringify(description)}`,
    ].join('\n'),
  )
  return `# Written by npm run docs from the code. Do not edit.\ngroups:\n  - name: geo\n    rules:\n${rules.join('\n')}\n`
}
