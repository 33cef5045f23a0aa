import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import { GeoError } from './errors.ts'
import { storeReport } from './node-status-table.ts'
import { samplesIn } from './status-sample.ts'
import { storeSamples } from './status-sample-table.ts'
import type { StatusContext } from './transfer/status.ts'

const FOREIGN_KEY_VIOLATION = '23503'

/** On the primary: stores what a secondary tells of itself, and samples of it for charts. */
export function takeReport(main: Knex, replicables: readonly Replicable[]): StatusContext['store'] {
  return async (siteId, report) => {
    const cursor = {
      xactId: report.cursor_xact_id,
      eventId: report.cursor_last_event_id,
      systemIdentifier: report.system_identifier,
      timeline: report.timeline,
    }
    try {
      await storeReport(main, siteId, cursor, report.status ?? null)
      if (report.status) await storeSamples(main, siteId, samplesIn(report.status, 'secondary', replicables))
    } catch (cause) {
      // It was removed in the seconds for which a look at the sites is good.
      if ((cause as { code?: unknown }).code !== FOREIGN_KEY_VIOLATION) throw cause
      throw new GeoError('UNAUTHORIZED', '401 Unauthorized', { cause })
    }
  }
}
