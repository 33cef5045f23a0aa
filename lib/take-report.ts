import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import { storeReport } from './node-status-table.ts'
import { samplesIn } from './status-sample.ts'
import { storeSamples } from './status-sample-table.ts'
import type { StatusContext } from './transfer/status.ts'

/** On the primary: stores what a secondary tells of itself, and samples of it for charts. */
export function takeReport(main: Knex, replicables: readonly Replicable[]): StatusContext['store'] {
  return async (siteId, report) => {
    const cursor = {
      xactId: report.cursor_xact_id,
      eventId: report.cursor_last_event_id,
      systemIdentifier: report.system_identifier,
      timeline: report.timeline,
    }
    await storeReport(main, siteId, cursor, report.status ?? null)
    if (report.status) await storeSamples(main, siteId, samplesIn(report.status, 'secondary', replicables))
  }
}
