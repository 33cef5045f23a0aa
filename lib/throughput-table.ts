import type { Knex } from 'knex'
import { run } from './databases.ts'

/** The door to geo_throughput: what all processes of a site have done, in slots of ten seconds. */

export const THROUGHPUT_KINDS = Object.freeze(['synced', 'verified', 'failed', 'removed'] as const)
export type ThroughputKind = (typeof THROUGHPUT_KINDS)[number]

/** Upper bounds of the histogram of the lag from commit to verified, in seconds; a last bucket holds what is beyond. */
export const LAG_BOUNDS_S = Object.freeze([0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14_400])

const SLOT_S = 10
const KEPT_HOURS = 25

export interface Done {
  readonly type: string
  readonly kind: ThroughputKind
  readonly blobs: number
  readonly bytes: number
  /** Per bucket of the histogram; null where no lag was measured. */
  readonly lagCounts: readonly number[] | null
}

/** Adds what a process has done since it last told. */
export async function addThroughput(db: Knex, done: readonly Done[]): Promise<void> {
  await run(
    db,
    `insert into geo_throughput as t (slot_at, replicable_name, kind, blobs, bytes, lag_counts)
     select to_timestamp(floor(extract(epoch from clock_timestamp()) / ${SLOT_S}) * ${SLOT_S}), d.type, d.kind, d.blobs, d.bytes,
       d.lag_counts::bigint[]
     from unnest(?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::text[]) as d(type, kind, blobs, bytes, lag_counts)
     on conflict (slot_at, replicable_name, kind) do update set blobs = t.blobs + excluded.blobs,
       bytes = t.bytes + excluded.bytes,
       lag_counts = case when t.lag_counts is null or excluded.lag_counts is null
         then coalesce(t.lag_counts, excluded.lag_counts)
         else (select array_agg(a + b order by position)
               from unnest(t.lag_counts, excluded.lag_counts) with ordinality as both_counts(a, b, position)) end`,
    [
      done.map(({ type }) => type),
      done.map(({ kind }) => kind),
      done.map(({ blobs }) => blobs),
      done.map(({ bytes }) => bytes),
      done.map(({ lagCounts }) => lagCounts && `{${lagCounts.join(',')}}`),
    ],
  )
}

/** What was done of one kind in the last minute, five and sixty: a second on average, and the lags of the hour. */
export interface Rates {
  readonly type: string
  readonly kind: ThroughputKind
  readonly blobsPerSecond: readonly [number, number, number]
  readonly bytesPerSecond: readonly [number, number, number]
  readonly lagCounts: readonly number[] | null
}

export const RATE_WINDOWS_S = Object.freeze([60, 300, 3600] as const)

/** One indexed statement over the slots of an hour. A window holds its whole slots and the one that is being filled. */
export async function loadRates(db: Knex): Promise<Rates[]> {
  const perSecond = (column: string, seconds: number) =>
    `(coalesce(sum(${column}) filter (where slot_at > clock_timestamp() - interval '${seconds} seconds'), 0) / ${seconds}.0)::float8`
  const rates = (column: string) => `array[${RATE_WINDOWS_S.map((seconds) => perSecond(column, seconds)).join(', ')}]`
  const { rows } = await run<{ rows: (Omit<Rates, 'lagCounts'> & { lagCounts: number[] | null })[] }>(
    db,
    `select replicable_name as type, kind, ${rates('blobs')} as "blobsPerSecond", ${rates('bytes')} as "bytesPerSecond",
       (select array_agg(total order by position) from (
          select position, sum(count)::float8 as total
          from geo_throughput l, unnest(l.lag_counts) with ordinality as c(count, position)
          where l.slot_at > clock_timestamp() - interval '1 hour'
            and l.replicable_name = t.replicable_name and l.kind = t.kind
          group by position) as summed) as "lagCounts"
     from geo_throughput t where slot_at > clock_timestamp() - interval '1 hour' group by replicable_name, kind`,
  )
  return rows
}

/** Forgets what is older than 25 hours. */
export async function pruneThroughput(db: Knex): Promise<void> {
  await run(db, `delete from geo_throughput where slot_at < clock_timestamp() - interval '${KEPT_HOURS} hours'`)
}
