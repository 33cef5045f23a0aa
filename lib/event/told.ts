import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import { isoSeconds } from '../iso-time.ts'

/** The newest events that are looked at, of all types. */
const MOST_EVENTS = 10_000
/** Of what is found no more is named. */
const MOST_NAMED = 100

/** What the log of the primary says of the host's writes since a moment from which on the flag was on. */
export interface ToldWrites {
  /** ISO 8601: since then all events were looked at; later than what was asked for where there are very many. */
  readonly since: string | null
  /** Records of which an event says that they were written. */
  readonly told: number
  /** Records that a pass has found and hashed, of which no event says that they were written; the newest first. */
  readonly untold: readonly string[]
  /** Records that had an event and whose rows are gone, of which no event says so; the newest first. */
  readonly gone: readonly string[]
}

/**
 * A row that the host told of has its event before its first checksum. One that a pass has found has been hashed without one, and
 * was written since the moment: its version is of a later transaction than the first event, or, where the checksum lies in
 * the row itself and makes versions of its own, its key is above one that was told. In one snapshot.
 */
export async function toldWrites(main: Knex, replicable: Replicable, since: string): Promise<ToldWrites> {
  const { name, table, keyColumn, keyType, verificationState } = replicable
  return bounded(
    main,
    async (trx) => {
      const isNewer =
        verificationState === 'separate'
          ? `h.version > (select xact_id from began) and h.version < r.hashed_xact
             ${keyType === 'bigint' ? 'and h.id > coalesce((select lowest from of_told), h.id - 1)' : ''}`
          : keyType === 'bigint'
            ? 'h.id > (select lowest from of_told)'
            : 'false'
      const { rows } = await run<{ rows: (Omit<ToldWrites, 'told'> & { told: number })[] }>(
        trx,
        `with looked as materialized (
           select xact_id, id, created_at, replicable_name, event_name, payload ->> 'model_record_id' as record_id
           from geo_events order by xact_id desc, id desc limit ${MOST_EVENTS}
         ), began as (
           select xact_id::text::numeric as xact_id, created_at from looked where created_at >= ?::timestamptz
           order by looked.xact_id, id limit 1
         ), records as (
           select record_id::${keyType} as id, bool_or(event_name in ('created', 'updated')) as is_told,
             (array_agg(event_name order by xact_id desc, id desc))[1] = 'deleted' as is_deleted,
             bool_or(event_name in ('created', 'updated') and is_since) as is_told_since,
             bool_or(event_name = 'created' and is_since) as is_created_since,
             min(xact_id::text::numeric) filter (where event_name = 'checksum_succeeded' and is_since) as hashed_xact,
             max(id) filter (where is_since) as last_event
           from looked, lateral (select created_at >= ?::timestamptz as is_since) as s
           where replicable_name = ? and record_id is not null group by record_id
         ), of_told as (
           select ${keyType === 'bigint' ? 'min(id) filter (where is_created_since)' : 'null::bigint'} as lowest from records
         ), rows as (
           select h.?? as id, pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(h.xmin) as version
           from ?? as h where h.?? = any(array(select id from records))
         )
         select (select ${isoSeconds('created_at')} from began) as "since",
           (select count(*)::int from records where is_told_since) as "told",
           array(select r.id::text from records r join rows h on h.id = r.id
                 where not r.is_told and r.hashed_xact is not null and ${isNewer}
                 order by r.last_event desc limit ${MOST_NAMED}) as "untold",
           array(select r.id::text from records r where not r.is_deleted and r.last_event is not null
                   and not exists (select from rows h where h.id = r.id)
                 order by r.last_event desc limit ${MOST_NAMED}) as "gone"`,
        [since, since, name, keyColumn, table, keyColumn],
      )
      return rows[0] ?? { since: null, told: 0, untold: [], gone: [] }
    },
    { isolationLevel: 'repeatable read' },
  )
}
