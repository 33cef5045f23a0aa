import type { Knex } from 'knex'
import { stateTableOf } from './blob/primary-checksum.ts'
import type { Replicable } from './blob/replicable.ts'
import { type Databases, requireTables } from './databases.ts'
import { ConfigurationError, GeoError, messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'
import type { SiteDirectory } from './site.ts'

export const MAIN_TABLES = [
  'geo_nodes',
  'geo_events',
  'geo_leases',
  'geo_stores',
  'geo_bulk_runs',
  'geo_node_statuses',
  'geo_event_prunes',
  'geo_throughput',
  'geo_audit_events',
  'geo_status_samples',
  'geo_switches',
  'geo_promotions',
  'geo_promotion_losses',
]
export const TRACKING_TABLES = [
  'geo_event_cursors',
  'geo_early_events',
  'geo_leases',
  'geo_stores',
  'geo_bulk_runs',
  'geo_drift_counts',
  'geo_reconciliations',
  'geo_throughput',
  'geo_site_status',
  'geo_audit_events',
  'geo_status_samples',
]

/** @throws ConfigurationError `UNKNOWN_TABLE` */
export async function requireMainTables(main: Knex, replicables: readonly Replicable[]): Promise<void> {
  const declared = replicables.flatMap((replicable) => [replicable.table, stateTableOf(replicable).table])
  await requireTables(main, 'main', [...new Set([...MAIN_TABLES, ...declared])])
}

/** @throws ConfigurationError `UNKNOWN_TABLE` */
export async function requireTrackingTables(tracking: Knex, replicables: readonly Replicable[]): Promise<void> {
  const registries = replicables.map((replicable) => replicable.names.registryTable)
  await requireTables(tracking, 'tracking', [...TRACKING_TABLES, ...registries])
}

export interface StartCheck {
  /** Throws ConfigurationError for what the host has to mend; a database that does not answer is only logged. */
  atStart(logger: LoggerLike): Promise<void>
  /** The same, for as long as it has not succeeded: throws whatever is wrong. */
  untilPassed(): Promise<void>
}

/** Are all tables there that the declarations and the role need? Asked until the answer is yes. */
export function checkTables(
  { main, tracking }: Databases,
  sites: SiteDirectory,
  replicables: readonly Replicable[],
): StartCheck {
  let passed = false

  async function untilPassed(): Promise<void> {
    if (passed) return
    await requireMainTables(main, replicables)
    await sites.refresh()
    if (sites.role === 'secondary') {
      if (!tracking)
        throw new ConfigurationError(
          'TRACKING_DATABASE_MISSING',
          `"${sites.siteName}" is a secondary without trackingDb`,
        )
      await requireTrackingTables(tracking, replicables)
    }
    // A site that is not registered yet is asked again once it is: only then is its role known.
    passed = sites.role !== 'unknown'
  }

  return Object.freeze({
    untilPassed,
    async atStart(logger: LoggerLike) {
      try {
        await untilPassed()
      } catch (reason) {
        if (reason instanceof ConfigurationError) throw reason
        if (reason instanceof GeoError && reason.code === 'STOPPED') return
        logger.error(
          { code: 'DATABASE_UNAVAILABLE', reason: messageOf(reason) },
          'Work begins when the database answers',
        )
      }
    },
  })
}
