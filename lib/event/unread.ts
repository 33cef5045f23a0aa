import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'
import { clusterIdentity, earlyIds, isSameLog, loadCursor } from './cursor.ts'
import type { EventPosition } from './event-log.ts'

/** Whether the log has an event after a position that is none of the given ones. */
export function hasEventAfter(
  db: Knex,
  { xactId, eventId }: EventPosition,
  handled: readonly string[] = [],
): Promise<boolean> {
  return bounded(db, async (trx) => {
    const { rows } = await run<{ rows: { there: boolean }[] }>(
      trx,
      `select exists (select from geo_events where (xact_id, id) > (?::xid8, ?::bigint) and id <> all(?::bigint[])) as there`,
      [xactId, eventId, handled],
    )
    return rows[0]?.there ?? false
  })
}

/** On a secondary: whether every event that its replica has is handled, those before their turn too. */
export async function allHandled(replica: Knex, tracking: Knex, siteName: string): Promise<boolean> {
  // Asked in this order: what is handled meanwhile is handled all the same.
  const cursor = await loadCursor(tracking, siteName)
  if (!cursor) return false
  if (!isSameLog(cursor, await clusterIdentity(replica))) return false
  return !(await hasEventAfter(replica, cursor, await earlyIds(tracking)))
}
