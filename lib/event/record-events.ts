import type { Knex } from 'knex'
import { walkBlocks } from '../block-walk.ts'
import { run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'

export interface LoggedEvent {
  readonly id: string
  readonly event: string
  /** ISO 8601. */
  readonly at: string
}

/**
 * All events of one record that the log still holds, the newest first. No index leads to them, which each insert would pay for:
 * the whole log is read, in bounded statements; a million events take about a quarter of a second.
 */
export async function eventsOf(
  main: Knex,
  replicableName: string,
  recordId: string,
  pages: { readonly blocksPerPage?: number } = {},
): Promise<LoggedEvent[]> {
  const found: LoggedEvent[] = []
  await walkBlocks(
    main,
    'geo_events',
    async (trx, range) => {
      const { rows } = await run<{ rows: LoggedEvent[] }>(
        trx,
        `select id::text as "id", event_name as "event",
           ${isoTime('created_at')} as "at"
         from geo_events
         where ctid >= ?::tid and ctid < ?::tid and replicable_name = ? and payload ->> 'model_record_id' = ?`,
        [...range, replicableName, recordId],
      )
      found.push(...rows)
    },
    pages,
  )
  return found.sort((left, right) => (BigInt(left.id) < BigInt(right.id) ? 1 : -1))
}
