import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'

export interface LoggedEvent {
  readonly id: string
  readonly event: string
  /** ISO 8601. */
  readonly at: string
}

/** No index leads from a record to its events, so no more of the log than this is looked through. */
const EVENTS_LOOKED_THROUGH = 10_000

/** The events of one record among the newest of the log, the newest first. */
export function newestEventsOf(main: Knex, replicableName: string, recordId: string): Promise<LoggedEvent[]> {
  return bounded(main, async (trx) => {
    const { rows } = await run<{ rows: LoggedEvent[] }>(
      trx,
      `select id::text as "id", event_name as "event",
         to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "at"
       from (select * from geo_events order by id desc limit ${EVENTS_LOOKED_THROUGH}) as newest
       where replicable_name = ? and payload ->> 'model_record_id' = ? order by newest.id desc`,
      [replicableName, recordId],
    )
    return rows
  })
}
