import type { Knex } from 'knex'
import { run } from './databases.ts'
import { isoSeconds } from './iso-time.ts'

/** The door to geo_status_samples: what the statuses of a day said of each type, a row a minute, for charts. */

const KEPT_HOURS = 25

/** What a status says of one type. Null is what it does not say. */
export interface SampledType {
  /** The name of the type. */
  readonly type: string
  /** Primary: blobs without a checksum. Secondary: copies that are not verified. */
  readonly backlog: number | null
  readonly blobsPerSecond: number | null
  readonly bytesPerSecond: number | null
  /** Secondary: how long the oldest blob that is not here has been waiting. */
  readonly lagSeconds: number | null
}

export interface Sample extends SampledType {
  /** The minute. ISO 8601. */
  readonly at: string
}

/** All types in one statement, which also forgets what is older than 25 hours. The last status in a minute wins. */
export async function storeSamples(db: Knex, siteId: string, sampled: readonly SampledType[]): Promise<void> {
  await run(
    db,
    `with pruned as (delete from geo_status_samples where sampled_at < clock_timestamp() - interval '${KEPT_HOURS} hours')
     insert into geo_status_samples (geo_node_id, replicable_name, sampled_at, backlog, blobs_per_second, bytes_per_second, lag_seconds)
     select ?, t.type, date_trunc('minute', statement_timestamp()), t.backlog, t.blobs_per_second, t.bytes_per_second, t.lag_seconds
     from unnest(?::text[], ?::bigint[], ?::float8[], ?::float8[], ?::float8[])
       as t(type, backlog, blobs_per_second, bytes_per_second, lag_seconds)
     on conflict (geo_node_id, sampled_at, replicable_name) do update set backlog = excluded.backlog,
       blobs_per_second = excluded.blobs_per_second, bytes_per_second = excluded.bytes_per_second,
       lag_seconds = excluded.lag_seconds`,
    [
      siteId,
      sampled.map(({ type }) => type),
      sampled.map(({ backlog }) => backlog),
      sampled.map(({ blobsPerSecond }) => blobsPerSecond),
      sampled.map(({ bytesPerSecond }) => bytesPerSecond),
      sampled.map(({ lagSeconds }) => lagSeconds),
    ],
  )
}

/** Of a site, the last so many minutes, the oldest first. */
export async function loadSamples(
  db: Knex,
  { siteId, minutes }: { siteId: string; minutes: number },
): Promise<Sample[]> {
  const { rows } = await run<{ rows: Sample[] }>(
    db,
    `select replicable_name as type, ${isoSeconds('sampled_at')} as "at",
       backlog::float8 as backlog, blobs_per_second as "blobsPerSecond", bytes_per_second as "bytesPerSecond",
       lag_seconds as "lagSeconds"
     from geo_status_samples
     where geo_node_id = ? and sampled_at > clock_timestamp() - ? * interval '1 minute'
     order by sampled_at, replicable_name`,
    [siteId, minutes],
  )
  return rows
}

/** What sites did in a minute, over all types. */
export interface SampledMinute extends Omit<Sample, 'type'> {
  readonly siteId: string
}

/** Of several sites, the last so many minutes, the oldest first: backlogs and rates added up, the longest lag. */
export async function loadMinutes(
  db: Knex,
  { siteIds, minutes }: { siteIds: readonly string[]; minutes: number },
): Promise<SampledMinute[]> {
  const { rows } = await run<{ rows: SampledMinute[] }>(
    db,
    `select geo_node_id::text as "siteId", ${isoSeconds('sampled_at')} as "at",
       sum(backlog)::float8 as backlog, sum(blobs_per_second) as "blobsPerSecond", sum(bytes_per_second) as "bytesPerSecond",
       max(lag_seconds) as "lagSeconds"
     from geo_status_samples
     where geo_node_id = any(?::bigint[]) and sampled_at > clock_timestamp() - ? * interval '1 minute'
     group by geo_node_id, sampled_at order by sampled_at`,
    [[...siteIds], minutes],
  )
  return rows
}
