import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import type { EventLedger } from '../registry/reconciliation.ts'
import { loadCursor } from './cursor.ts'
import type { EventPosition } from './event-log.ts'

/** With more unread events than this a site is behind, and says nothing of what it was not told. */
const MOST_UNREAD = 10_000

/**
 * What has been read has had its effect, so a difference that is found after the position was asked for is either told by an
 * event that is still to be read, or was told by none.
 */
export function eventLedger(replica: Knex, tracking: Knex, siteName: string): EventLedger<EventPosition> {
  return Object.freeze({
    position: () => loadCursor(tracking, siteName),
    countUntold: ({ name, keyType }: Replicable, literal: string, { xactId, eventId }: EventPosition) =>
      bounded(replica, async (trx) => {
        const { rows } = await run<{ rows: { count: number }[] }>(
          trx,
          `with unread as materialized (
             select replicable_name, payload ->> 'model_record_id' as record_id from geo_events
             where (xact_id, id) > (?::xid8, ?::bigint) order by xact_id, id limit ${MOST_UNREAD}
           )
           select count(*)::int as count from (
             select k.id::text from unnest(?::${keyType}[]) as k(id)
             except select record_id from unread where replicable_name = ?
           ) as untold where (select count(*) from unread) < ${MOST_UNREAD}`,
          [xactId, eventId, literal, name],
        )
        return rows[0]?.count ?? 0
      }),
  })
}
