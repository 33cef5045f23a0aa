import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import { clusterIdentity, type StoredCursor } from './cursor.ts'
import { BEGINNING, type EventPosition } from './event-log.ts'

/**
 * What a promotion of a secondary would lose of what the primary knows: records whose events it has not read yet. What it has read
 * and not yet proven it knows itself: rows of its registries that are not `proven`.
 */

/** A record of which a secondary has not heard the newest. */
export interface UnheardRecord {
  readonly type: string
  readonly recordId: string
  /** What happened to it last: a `deleted` one would come back. */
  readonly event: 'created' | 'updated' | 'deleted'
  /** ISO 8601. */
  readonly at: string
  readonly eventId: string
}

/** Of more unread events than this no more is said: such a secondary is not to be promoted. */
const MOST_READ = 100_000

// A checksum alone changes no file: a copy that waits for one is not proven, which the secondary knows.
const UNHEARD = `select replicable_name collate "C" as replicable_name, (payload ->> 'model_record_id') collate "C" as record_id, event_name, created_at, xact_id, id
  from geo_events where (xact_id, id) > (?::xid8, ?::bigint) and event_name <> 'checksum_succeeded'`

/**
 * On the primary: records with events behind a position that a secondary has told, each with the newest of its events, in the
 * order of these. Without a position, or with one of another cluster or timeline, that is all that the log still holds. An
 * event that the secondary has handled before its turn counts as unheard. Looks at the first 100,000 events.
 */
export async function unheardRecords(
  main: Knex,
  position: StoredCursor | null,
  { types, limit }: { readonly types?: readonly string[]; readonly limit: number },
): Promise<UnheardRecord[]> {
  return bounded(main, async (trx) => {
    const after = await heardUpTo(trx, position)
    const { rows } = await run<{ rows: UnheardRecord[] }>(
      trx,
      `with unheard as materialized (
         select row_number() over (order by xact_id, id) as turn, * from (
           ${UNHEARD} ${types ? 'and replicable_name = any(?::text[])' : ''} order by xact_id, id limit ${MOST_READ}) as e
       ), newest as (
         select max(turn) as turn from unheard where record_id is not null group by replicable_name, record_id
         order by turn limit ?
       )
       select replicable_name as "type", record_id as "recordId", event_name as "event", id::text as "eventId",
         ${isoTime('created_at')} as "at"
       from newest join unheard using (turn) order by turn`,
      [after.xactId, after.eventId, ...(types ? [[...types]] : []), limit],
    )
    return rows
  })
}

/**
 * How many records of all types those are, counted no further than one beyond the limit; that stands for more than 100,000 unread
 * events too.
 */
export async function countUnheard(main: Knex, position: StoredCursor | null, limit: number): Promise<number> {
  return bounded(main, async (trx) => {
    const after = await heardUpTo(trx, position)
    const { rows } = await run<{ rows: { records: number; events: number }[] }>(
      trx,
      `with unheard as materialized (${UNHEARD} order by xact_id, id limit ${MOST_READ + 1})
       select (select count(*)::int from unheard) as events, (select count(*)::int from (
         select distinct replicable_name, record_id from unheard where record_id is not null) as d) as records`,
      [after.xactId, after.eventId],
    )
    const { records, events } = rows[0] ?? { records: 0, events: 0 }
    return events > MOST_READ ? limit + 1 : Math.min(records, limit + 1)
  })
}

async function heardUpTo(trx: Knex, position: StoredCursor | null): Promise<EventPosition> {
  if (!position) return BEGINNING
  const { systemIdentifier, timeline } = await clusterIdentity(trx)
  return position.systemIdentifier === systemIdentifier && position.timeline === timeline ? position : BEGINNING
}
