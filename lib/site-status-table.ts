import type { Knex } from 'knex'
import { run } from './databases.ts'
import { truncateFailure } from './errors.ts'
import { isoTime } from './iso-time.ts'
import type { GatheredStatus } from './node-status-table.ts'

/** The door to geo_site_status: what a secondary knows of itself and of its way to the primary, for all of its processes. */

/** Ages by the clock of the tracking database; null where it never happened. */
export interface OwnStatus {
  readonly status: GatheredStatus
  /** ISO 8601. */
  readonly gatheredAt: string | null
  readonly gatheredAgeSeconds: number | null
  /** How far this site's clock is ahead of the primary's. */
  readonly clockSkewMs: number | null
  readonly reportedAgeSeconds: number | null
  /** Since the first of the reports in a row that the primary did not take. */
  readonly reportFailingSeconds: number | null
  /** In a row. */
  readonly reportsFailed: number
  /** Since this database was made. */
  readonly reportsFailedTotal: number
  readonly reportFailure: string | null
}

export async function loadOwnStatus(tracking: Knex): Promise<OwnStatus | null> {
  const age = (column: string) => `extract(epoch from clock_timestamp() - ${column})::float8`
  const { rows } = await run<{ rows: OwnStatus[] }>(
    tracking,
    `select status, ${isoTime('gathered_at')} as "gatheredAt",
       ${age('gathered_at')} as "gatheredAgeSeconds", clock_skew_ms as "clockSkewMs",
       ${age('reported_at')} as "reportedAgeSeconds", ${age('report_failing_since')} as "reportFailingSeconds",
       reports_failed as "reportsFailed",
       reports_failed_total::float8 as "reportsFailedTotal", report_failure as "reportFailure"
     from geo_site_status`,
  )
  return rows[0] ?? null
}

export async function storeGathered(tracking: Knex, status: GatheredStatus): Promise<void> {
  await run(
    tracking,
    `insert into geo_site_status (status, gathered_at) values (?::jsonb, clock_timestamp())
     on conflict (single) do update set status = excluded.status, gathered_at = excluded.gathered_at`,
    [JSON.stringify(status)],
  )
}

/** The primary has taken a report. */
export async function noteReported(tracking: Knex, clockSkewMs: number | null): Promise<void> {
  await run(
    tracking,
    `insert into geo_site_status (clock_skew_ms, reported_at) values (?, clock_timestamp())
     on conflict (single) do update set clock_skew_ms = excluded.clock_skew_ms, reported_at = excluded.reported_at,
       reports_failed = 0, report_failing_since = null, report_failure = null`,
    [clockSkewMs],
  )
}

/** The primary has not taken one. `clockSkewMs`: null where nothing new is known of the clocks. */
export async function noteReportFailed(tracking: Knex, failure: string, clockSkewMs: number | null): Promise<void> {
  await run(
    tracking,
    `insert into geo_site_status as s (reports_failed, reports_failed_total, report_failing_since, report_failure, clock_skew_ms)
     values (1, 1, clock_timestamp(), ?, ?)
     on conflict (single) do update set reports_failed = s.reports_failed + 1,
       reports_failed_total = s.reports_failed_total + 1,
       report_failing_since = coalesce(s.report_failing_since, excluded.report_failing_since), report_failure = excluded.report_failure,
       clock_skew_ms = coalesce(excluded.clock_skew_ms, s.clock_skew_ms)`,
    [truncateFailure(failure), clockSkewMs],
  )
}
