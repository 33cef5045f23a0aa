import type { Knex } from 'knex'
import { run } from '../databases.ts'
import type { Writer } from '../epoch.ts'

/** What can have happened to a blob on the primary. */
export const EVENT_NAMES = Object.freeze(['created', 'updated', 'deleted', 'checksum_succeeded'] as const)
export type EventName = (typeof EVENT_NAMES)[number]

export interface GeoEvent {
  readonly id: string
  readonly xactId: string
  readonly replicableName: string
  readonly eventName: string
  readonly recordId: string | null
  readonly createdAt: string
  /** The trace of the host that wrote it (W3C), if there was one. */
  readonly traceparent: string | null
}

/** A place in the event log: everything before it has been handled. Ordered by transaction id, then by event id. */
export interface EventPosition {
  readonly xactId: string
  readonly eventId: string
}

/** Before all events. */
export const BEGINNING: EventPosition = Object.freeze({ xactId: '0', eventId: '0' })

export interface NewEvent {
  readonly recordId: string
  /** Only of `deleted`: the key of the file, for sites that no longer know it. */
  readonly blobPath?: string
  /** The trace that it belongs to (W3C). */
  readonly traceparent?: string
}

/**
 * Writes events of the site's own work in the caller's transaction, if the site has anyone to tell (GB.C.2): with no secondary
 * nothing is written. Fails with the transaction, never in silence, also where the writer is no longer the primary. Without a
 * writer they are of whoever the database takes for the primary.
 */
export async function insertEvents(
  trx: Pick<Knex, 'raw'>,
  replicableName: string,
  eventName: EventName,
  events: readonly NewEvent[],
  writer: Writer | null = null,
): Promise<void> {
  const payloads = events.map(payloadOf)
  await run(
    trx,
    `insert into geo_events (replicable_name, event_name, payload)
     select ?, ?, payload::jsonb from geo_admit_write(false, ?, ?), unnest(?::text[]) as e(payload)
     where exists (select from geo_nodes where not "primary")`,
    [replicableName, eventName, writer?.siteName ?? null, writer?.epoch ?? null, payloads],
  )
}

/**
 * Writes the event of one write of the host, as `insertEvents` does, and where the site takes writes. Where a trigger has told of
 * it already, that event only learns what it lacks. All values are text, so that any library can bind them.
 */
export async function insertHostEvent(
  trx: Pick<Knex, 'raw'>,
  writer: Writer,
  replicableName: string,
  eventName: EventName,
  event: NewEvent,
): Promise<void> {
  await run(
    trx,
    `with written as materialized (
       select ?::text as name, ?::text as event, ?::text as record_id, ?::text::jsonb as payload
       from geo_admit_write(true, ?::text, ?::text::integer)
     ),
     told as materialized (
       select e.id from geo_events e, written w
       where e.by_trigger and e.xact_id = pg_current_xact_id() and e.replicable_name = w.name
         and e.payload ->> 'model_record_id' = w.record_id and e.event_name = w.event
     ), completed as (
       update geo_events e set payload = e.payload || w.payload from told, written w
       where e.id = told.id and not e.payload @> w.payload
     )
     insert into geo_events (replicable_name, event_name, payload) select name, event, payload from written
     where exists (select from geo_nodes where not "primary") and not exists (select from told)`,
    [replicableName, eventName, event.recordId, payloadOf(event), writer.siteName, String(writer.epoch)],
  )
}

function payloadOf({ recordId, blobPath, traceparent }: NewEvent): string {
  return JSON.stringify({
    model_record_id: recordId,
    ...(blobPath !== undefined && { blob_path: blobPath }),
    ...(traceparent !== undefined && { traceparent }),
  })
}

// Ids leave the database as text, so the order names the columns: `order by id` would sort the text.
const EVENT_COLUMNS = `id::text as "id", xact_id::text as "xactId", replicable_name as "replicableName",
  event_name as "eventName", payload ->> 'model_record_id' as "recordId", created_at::text as "createdAt",
  payload ->> 'traceparent' as "traceparent"`

const SETTLED = 'xact_id < pg_snapshot_xmin(pg_current_snapshot())'

/** An event as one look at the log shows it. */
export interface SeenEvent extends GeoEvent {
  /**
   * Its turn has come: every transaction below the horizon has ended, so its order is final. Only `xmin` says that on a replica,
   * whose snapshots do not list the running transactions above it. Of the others an older transaction is still open, and may yet
   * write before them.
   */
  readonly settled: boolean
}

/**
 * The next events after a position, in the order of the log: those whose turn has come, and as far as there is room those whose
 * turn has not, without the ids that were handled early already. With null for these there are none of the latter.
 */
export async function readEvents(
  db: Knex,
  after: EventPosition,
  handledEarly: readonly string[] | null,
  limit: number,
): Promise<SeenEvent[]> {
  const { rows } = await run<{ rows: SeenEvent[] }>(
    db,
    `select ${EVENT_COLUMNS}, ${SETTLED} as "settled" from geo_events
     where (xact_id, id) > (?::xid8, ?::bigint) and (${SETTLED} or ?::boolean and id <> all(?::bigint[]))
     order by geo_events.xact_id, geo_events.id limit ?`,
    [after.xactId, after.eventId, handledEarly !== null, handledEarly ?? [], limit],
  )
  return rows
}

/**
 * The open transaction that keeps an event from its turn, in whichever database of the cluster, and how long it has at least
 * been open: since before that event. Null where it has ended.
 */
export async function holderOfHorizon(
  db: Knex,
  { xactId, eventId }: EventPosition,
): Promise<{ xactId: string; ageSeconds: number } | null> {
  const { rows } = await run<{ rows: { xactId: string; ageSeconds: number }[] }>(
    db,
    `select pg_snapshot_xmin(pg_current_snapshot())::text as "xactId",
       greatest(0, extract(epoch from clock_timestamp() - created_at))::int as "ageSeconds"
     from geo_events where id = ?::bigint and xact_id = ?::xid8 and xact_id >= pg_snapshot_xmin(pg_current_snapshot())`,
    [eventId, xactId],
  )
  return rows[0] ?? null
}

/** The first position that is not settled yet on this server. */
export async function horizonOf(db: Knex): Promise<EventPosition> {
  const { rows } = await run<{ rows: { xactId: string }[] }>(
    db,
    'select pg_snapshot_xmin(pg_current_snapshot())::text as "xactId"',
  )
  return { xactId: rows[0]?.xactId ?? '0', eventId: '0' }
}
